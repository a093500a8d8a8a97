"""The operator as a process outside any pod, with exactly the rights that config/rbac grants."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests import builders, ports
from tests.conftest import ROOT
from tests.kube import Kube, eventually

NAMESPACE = "agentsystem-system"
ACCOUNT = "agentsystem-operator"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
IMAGE = "localhost/agent-runtime:dev"
RELEASED = "agentsystem_operator"


class Process:
    """One running operator."""

    def __init__(self, kubeconfig: Path, log: Path, *flags: str, module: str = RELEASED) -> None:
        self._log = log
        self.port = ports.free()
        command = [sys.executable, "-m", module]
        command += ["--kubeconfig", str(kubeconfig), "--namespace", NAMESPACE]
        command += ["--metrics-host", "127.0.0.1", "--metrics-port", str(self.port), *flags]
        with log.open("ab") as sink:
            self._child = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"},
                stdout=sink,
                stderr=sink,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def log(self) -> list[dict[str, Any]]:
        """All lines that were logged; each must be JSON."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def page(self, path: str) -> httpx.Response | None:
        """Return an answer of the operator's own server, or None while there is none."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5)
        except httpx.TransportError:
            return None

    def is_ready(self) -> bool:
        found = self.page("/readyz")
        return found is not None and found.is_success

    def is_leading(self) -> bool:
        return self.metric("agentsystem_leader") == 1.0

    def metric(self, name: str) -> float:
        """Return the sum of a metric over all its labels."""
        found = self.page("/metrics")
        lines = found.text.splitlines() if found is not None else []
        values = [
            line.rpartition(" ")[2] for line in lines if line.startswith((f"{name} ", f"{name}{{"))
        ]
        return sum(float(value) for value in values)

    def kill(self) -> None:
        """End it as a node's failure would."""
        self._child.kill()
        self._child.wait(10)

    def stop(self) -> int:
        """End it as Kubernetes would; returns its exit code."""
        self._child.send_signal(signal.SIGTERM)
        return self._child.wait(30)

    def is_running(self) -> bool:
        return self._child.poll() is None


@contextmanager
def operator(
    kubeconfig: Path, log: Path, *flags: str, leads: bool = True, module: str = RELEASED
) -> Iterator[Process]:
    """Run an operator; yields when it is ready (and leads), and ends it politely."""
    process = Process(kubeconfig, log, *flags, module=module)
    try:
        eventually("the operator is ready", process.is_ready, within_s=30)
        if leads:
            eventually("the operator leads", process.is_leading, within_s=30)
        yield process
    finally:
        if process.is_running():
            assert process.stop() == 0
    assert "Traceback" not in log.read_text()


def account(kube: Kube, folder: Path) -> Path:
    """Install the operator's account and rights; returns a kubeconfig that uses it."""
    kube.apply(builders.namespace(NAMESPACE))
    kube.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "config" / "rbac"))
    return log_in(kube, folder, NAMESPACE)


def log_in(kube: Kube, folder: Path, namespace: str) -> Path:
    """Return a kubeconfig that uses the operator's account in that namespace."""
    token = kube.kubectl("create", "token", ACCOUNT, "-n", namespace, "--duration=2h").strip()
    config = yaml.safe_load(Path(kube.kubeconfig).read_text())
    cluster = dict(config["clusters"][0]["cluster"])
    if "certificate-authority" in cluster:
        content = Path(cluster.pop("certificate-authority")).read_bytes()
        cluster["certificate-authority-data"] = base64.b64encode(content).decode()
    path = folder / "operator.kubeconfig"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "operator",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": "operator", "user": {"token": token}}],
                "contexts": [
                    {"name": "operator", "context": {"cluster": "test", "user": "operator"}}
                ],
            }
        )
    )
    path.chmod(0o600)
    return path
