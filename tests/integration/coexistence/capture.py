"""Keeps what real runs of the operator report, one file per state, for tests of those who read it.

    python3 -m devcluster up --name dumps --nodes 0
    PYTHONPATH=operator:. .venv/bin/python -m tests.integration.coexistence.capture --cluster dumps

It takes 12 minutes, since a rollout is late only after 10. The objects are written as the apiserver
shows them, without managedFields. There are no nodes: pods are made ready by `play`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import builders
from tests.conftest import ROOT
from tests.integration.coexistence import play
from tests.integration.crd import serve
from tests.integration.operator_process import account, operator
from tests.kube import Kube, conditions, eventually

FOLDER = ROOT / "tests" / "unit" / "gitops" / "dumps"
NS = "dumps"
LATE_WITHIN_S = 660.0
BRIEF = [builders.agent(instructions="Be brief.")]


class Camera:
    """Keeps AgentSystems of one namespace."""

    def __init__(self, kube: Kube) -> None:
        self.kube = kube

    def apply(self, name: str, **spec: Any) -> None:
        self.kube.apply(builders.system(name, NS, **spec))

    def ready(self, name: str, **spec: Any) -> None:
        self.apply(name, **spec)
        play.until_ready(self.kube, name, ns=NS)

    def keep(self, state: str, name: str) -> None:
        live = self.kube.get("AgentSystem", name, NS)
        assert live is not None
        live["metadata"].pop("managedFields", None)
        text = json.dumps(live, indent=1, sort_keys=True)
        (FOLDER / f"{state}.json").write_text(f"{text}\n")
        sys.stderr.write(f"kept {state}\n")

    def keep_once(
        self, state: str, name: str, condition: str, want: tuple[str, str], *, within_s: float = 20
    ) -> None:
        """Keep a system as soon as it shows a condition for its current spec."""
        eventually(state, lambda: self._shows(name, condition, want), within_s=within_s)
        self.keep(state, name)

    def _shows(self, name: str, condition: str, want: tuple[str, str]) -> bool:
        live = self.kube.get("AgentSystem", name, NS)
        found = conditions(live).get(condition, {})
        seen = found.get("observedGeneration") == (live or {})["metadata"]["generation"]
        return seen and (found.get("status"), found.get("reason")) == want


def new(camera: Camera) -> None:
    """What nobody has looked at yet; taken before the operator starts."""
    camera.apply("late")
    camera.keep("new", "late")


def states(camera: Camera) -> None:
    """Everything that can be had within seconds."""
    kube = camera.kube
    camera.keep_once("progressing", "late", "Progressing", ("True", "RollingOut"))
    camera.ready("ready")
    camera.keep("ready", "ready")
    camera.apply("updating")
    play.until_ready(kube, "updating", ns=NS)
    camera.apply("updating", agents=BRIEF)
    camera.keep_once("updating", "updating", "Ready", ("False", "RollingOut"))
    camera.ready("paused")
    camera.apply("paused", paused=True)
    camera.keep_once("paused", "paused", "Paused", ("True", "PausedBySpec"))
    camera.apply("paused", paused=True, agents=BRIEF)
    camera.keep_once("paused-waiting", "paused", "Ready", ("False", "PausedBySpec"))
    camera.apply("zero", agents=[builders.agent(replicas=0)])
    camera.keep_once("scaled-to-zero", "zero", "Progressing", ("False", "RolledOut"))


def faults(camera: Camera) -> None:
    """What somebody, or something else, has to repair."""
    kube = camera.kube
    refer = {"instructionsFrom": {"configMapKeyRef": {"name": "texts", "key": "front"}}}
    camera.apply("missing", agents=[{"name": "front", "route": "chat", **refer}])
    camera.keep_once("config-map-missing", "missing", "Ready", ("False", "ConfigMapMissing"))
    taken = {"apiVersion": "v1", "kind": "ServiceAccount"}
    kube.apply({**taken, "metadata": {"name": "taken--front", "namespace": NS}})
    camera.apply("taken")
    camera.keep_once("name-taken", "taken", "Ready", ("False", "NameTaken"))
    kube.kubectl(
        "create", "quota", "none", "-n", NS, "--hard=count/networkpolicies.networking.k8s.io=0"
    )
    camera.apply("refused")
    camera.keep_once("apply-refused", "refused", "Ready", ("False", "ApplyRefused"))
    kube.kubectl("delete", "quota", "none", "-n", NS)


def lost(camera: Camera) -> None:
    """Pods that are gone for a minute."""
    camera.ready("lost", agents=[builders.agent(replicas=2)])
    for pod in camera.kube.list("Pod", NS, labels="agentsystem.dev/system=lost"):
        camera.kube.delete("Pod", pod["metadata"]["name"], NS)
    want = ("True", "BelowDesired")
    camera.keep_once("degraded", "lost", "Degraded", want, within_s=90)


def late(camera: Camera) -> None:
    """A rollout past its deadline."""
    want = ("False", "DeadlineExceeded")
    camera.keep_once("deadline-exceeded", "late", "Progressing", want, within_s=LATE_WITHIN_S)


def unattended(camera: Camera) -> None:
    """What is seen while the operator is down."""
    camera.apply("ready", agents=BRIEF)
    camera.keep("behind", "ready")
    path = f"/apis/agentsystem.dev/v1alpha1/namespaces/{NS}/agentsystems/ready"
    camera.kube.http.patch(
        path,
        content=json.dumps({"metadata": {"finalizers": ["example.com/kept"]}}),
        headers={"Content-Type": "application/merge-patch+json"},
    )
    camera.kube.delete("AgentSystem", "ready", NS)
    camera.keep("deleting", "ready")
    camera.kube.http.patch(
        path,
        content=json.dumps({"metadata": {"finalizers": None}}),
        headers={"Content-Type": "application/merge-patch+json"},
    )


@contextmanager
def namespace(kube: Kube) -> Iterator[None]:
    kube.apply(builders.namespace(NS))
    try:
        yield
    finally:
        kube.delete("Namespace", NS)


def main() -> None:
    """Write every dump."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cluster", required=True)
    name = parser.parse_args().cluster
    command = [sys.executable, "-m", "devcluster"]
    where = subprocess.run(
        [*command, "kubeconfig", "--name", name], check=True, stdout=subprocess.PIPE, text=True
    )
    kube = Kube(where.stdout.strip(), kubectl=[*command, "kubectl", "--name", name, "--"])
    FOLDER.mkdir(parents=True, exist_ok=True)
    serve(kube)
    camera = Camera(kube)
    stories: tuple[Callable[[Camera], None], ...] = (states, faults, lost, late)
    with tempfile.TemporaryDirectory() as folder, namespace(kube):
        credentials = account(kube, Path(folder))
        new(camera)
        began = time.monotonic()
        with operator(credentials, Path(folder) / "log", "--identity", "camera"):
            for story in stories:
                story(camera)
        unattended(camera)
        sys.stderr.write(f"done in {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
