"""A client inside the cluster that asks at a steady rate and writes down what failed and when.

It runs in a pod of the runtime image (which has a Python) and uses the standard library only;
its target is the system's Service, by cluster DNS, as a real client's would be.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kube import Kube, eventually

IMAGE = "localhost/agent-runtime:dev"
SCRIPT = Path(__file__).with_name("load_client.py")


@dataclass(frozen=True)
class Load:
    """What the client saw; times are Unix seconds."""

    sent: int
    failures: list[tuple[float, str]]
    lost_after_retry: int
    first_at: float


def start(kube: Kube, ns: str, url: str, *, per_second: int, seconds: int, node: str = "") -> str:
    """Start the client, on a node if one is named, and wait for its first good answer.

    Returns the pod's name.
    """
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "load", "namespace": ns},
            "data": {"client.py": SCRIPT.read_text()},
        }
    )
    pod = _pod(ns, [url, str(per_second), str(seconds)])
    if node:
        pod["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
    kube.apply(pod)
    eventually(
        "the client's first answer",
        lambda: "started" in kube.kubectl("logs", "-n", ns, "load", ok=False),
        within_s=60,
    )
    return "load"


def stop(kube: Kube, ns: str, pod: str) -> None:
    """Let the client send nothing more; it reports when all answers are there."""
    end = "import os, signal; os.kill(1, signal.SIGTERM)"
    kube.kubectl("exec", "-n", ns, pod, "--", "python3", "-c", end)


def finish(kube: Kube, ns: str, pod: str, *, within_s: float) -> Load:
    """Wait for the client's report."""

    def ended() -> bool:
        found = kube.get("Pod", pod, ns) or {}
        return found.get("status", {}).get("phase") in {"Succeeded", "Failed"}

    eventually("the client ends", ended, within_s=within_s, every_s=1)
    last = kube.kubectl("logs", "-n", ns, pod).strip().splitlines()[-1]
    report = json.loads(last)
    failures = [(float(at), str(why)) for at, why in report["failures"]]
    return Load(report["sent"], failures, report["lost"], report["first_at"])


def _pod(ns: str, arguments: list[str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "load", "namespace": ns},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "client",
                    "image": IMAGE,
                    "command": ["python3", "/load/client.py", *arguments],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "load", "mountPath": "/load"}],
                }
            ],
            "volumes": [{"name": "load", "configMap": {"name": "load"}}],
        },
    }
