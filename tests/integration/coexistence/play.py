"""Pods where there are no nodes: what a kubelet would report, written by the test.

Everything above the pods is real: ReplicaSets and Deployments are counted by their controllers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.kube import Kube, eventually, is_true

# Long enough ago for any minReadySeconds.
_READY_FOR = timedelta(seconds=30)


def pods(kube: Kube, *systems: str, ns: str) -> None:
    """Make every pod of these systems ready."""
    since = (datetime.now(UTC) - _READY_FOR).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = [
        {"type": kind, "status": "True", "lastTransitionTime": since}
        for kind in ("Ready", "ContainersReady")
    ]
    labels = f"agentsystem.dev/system in ({','.join(systems)})"
    for pod in kube.list("Pod", ns, labels=labels):
        if not _is_ready(pod):
            kube.http.patch(
                f"/api/v1/namespaces/{ns}/pods/{pod['metadata']['name']}/status",
                content=json.dumps({"status": {"phase": "Running", "conditions": ready}}),
                headers={"Content-Type": "application/strategic-merge-patch+json"},
            )


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def until_ready(kube: Kube, *names: str, ns: str, within_s: float = 30) -> None:
    """Make pods ready until the systems are, and have said so for their current spec."""

    def look() -> bool:
        pods(kube, *names, ns=ns)
        return all(is_true(kube.get("AgentSystem", name, ns), "Ready") for name in names)

    eventually(f"{', '.join(names)} ready", look, within_s=within_s)


def until(kube: Kube, system: str, look: Callable[[], object], *, ns: str) -> None:
    """Make pods of a system ready until something else holds."""

    def play() -> object:
        pods(kube, system, ns=ns)
        return look()

    eventually(f"what follows from the pods of {system}", play, within_s=30)
