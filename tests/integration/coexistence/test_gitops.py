"""Argo CD-like and Flux-like tools beside the operator: nobody notices the other.

The same for 10 minutes is in tests/chaos.
"""

from __future__ import annotations

import time

from tests import builders
from tests.integration.coexistence import gitops, play
from tests.integration.operator_process import Process
from tests.kube import Kube, eventually

FOR_S = 30.0


def test_tools_that_apply_what_is_there_change_nothing(
    running: Process, kube: Kube, cluster_name: str, ns: str
) -> None:
    count = gitops.beside(kube, cluster_name, ns, for_s=FOR_S)
    assert count.syncs >= 3
    assert count.writes == []
    assert count.after == count.before
    claims = [name for name in count.after.children if name.startswith("PersistentVolumeClaim")]
    assert len(claims) == 2


def test_an_argo_cd_that_heals_children_by_a_saved_copy_is_undone_and_told_once(
    running: Process, kube: Kube, cluster_name: str, ns: str
) -> None:
    """Somebody put a child into the repository: a fight, which must not become a storm."""
    kube.apply(builders.system("one", ns))
    play.until_ready(kube, "one", ns=ns)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "one--front", "namespace": ns},
        "spec": {"selector": {"agentsystem.dev/agent": "other"}, "ports": [{"port": 8000}]},
    }
    for _ in range(3):
        kube.apply(service, manager="argocd-controller")
        eventually("it is undone", lambda: _selects(kube, ns) == "front", within_s=10)
    time.sleep(2)
    notes = [event["note"] for event in kube.list("Event", ns) if event["reason"] == "Tampered"]
    assert notes == ["Service 'one--front' had been changed by 'argocd-controller'; restored"]


def _selects(kube: Kube, ns: str) -> str:
    live = kube.get("Service", "one--front", ns)
    return str(live["spec"]["selector"]["agentsystem.dev/agent"]) if live else ""
