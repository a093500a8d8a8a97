"""The operator as a process against a real apiserver, without nodes: what it writes, and what not.

Requests are counted in the apiserver's audit log under the operator's own user, so what it says of
itself does not count.
"""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

from tests import audit, builders
from tests.conftest import ROOT
from tests.integration.operator_process import USER, Process
from tests.kube import Kube, conditions, eventually

REST_S = 60.0
PASSES = "agentsystem_reconcile_seconds_count"


def settled(kube: Kube, name: str, ns: str, *, within_s: float = 10) -> dict[str, Any]:
    """Return the system once its status speaks about its current spec."""

    def look() -> dict[str, Any] | None:
        live = kube.get("AgentSystem", name, ns)
        seen = (live or {}).get("status", {}).get("observedGeneration")
        return live if live and seen == live["metadata"]["generation"] else None

    found = eventually(f"{name} observed", look, within_s=within_s)
    assert found is not None
    return found


def writes(cluster: str, ns: str) -> list[str]:
    return [
        f"{w.verb} {w.resource} {w.code}" for w in audit.writes(cluster, user=USER, namespace=ns)
    ]


def test_a_new_system_costs_one_write_per_child_and_three(
    running: Process, kube: Kube, cluster_name: str, ns: str
) -> None:
    kube.apply(builders.system("one", ns))
    settled(kube, "one", ns)
    time.sleep(2)
    seen = sorted(writes(cluster_name, ns))
    assert [write for write in seen if "events" not in write] == sorted(
        [
            "patch agentsystems/status 200",
            "patch configmaps 201",
            "patch controllerrevisions 201",
            "patch deployments 200",
            "patch deployments 201",
            "patch networkpolicies 201",
            "patch poddisruptionbudgets 201",
            "patch serviceaccounts 201",
            "patch services 201",
            "patch services 201",
        ]
    )
    assert len(seen) <= 11


def test_exactly_one_manager_owns_replicas(running: Process, kube: Kube, ns: str) -> None:
    kube.apply(builders.system("one", ns, agents=[builders.agent(replicas=2)]))
    settled(kube, "one", ns)
    live = kube.get("Deployment", "one--front-a", ns)
    assert live is not None
    owners = [
        entry["manager"]
        for entry in live["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    ]
    assert (owners, live["spec"]["replicas"]) == (["agentsystem-scale"], 2)


def test_replicas_follow_the_spec(running: Process, kube: Kube, ns: str) -> None:
    for replicas in (1, 3, 0, 2):
        kube.apply(builders.system("one", ns, agents=[builders.agent(replicas=replicas)]))
        eventually(
            f"{replicas} replicas",
            lambda want=replicas: _replicas(kube, ns) == want,  # type: ignore[misc]
            within_s=10,
        )


def _replicas(kube: Kube, ns: str) -> int | None:
    live = kube.get("Deployment", "one--front-a", ns)
    return live["spec"]["replicas"] if live else None


def test_what_people_do_to_children_is_undone(running: Process, kube: Kube, ns: str) -> None:
    kube.apply(builders.system("one", ns))
    settled(kube, "one", ns)
    selector = {"spec": {"selector": {"agentsystem.dev/agent": "other"}}}
    kube.patch("Service", "one--front", ns, selector)
    kube.delete("ServiceAccount", "one--front", ns)
    kube.kubectl("scale", "deployment/one--front-a", "--replicas=7", "-n", ns)
    eventually("the selector is back", lambda: _selects(kube, ns) == "front", within_s=10)
    eventually(
        "the account is back", lambda: kube.get("ServiceAccount", "one--front", ns), within_s=10
    )
    eventually("replicas are back", lambda: _replicas(kube, ns) == 1, within_s=10)


def _selects(kube: Kube, ns: str) -> str:
    live = kube.get("Service", "one--front", ns)
    return str(live["spec"]["selector"]["agentsystem.dev/agent"]) if live else ""


def test_a_removed_agent_loses_its_children_and_nobody_else(
    running: Process, kube: Kube, ns: str
) -> None:
    both = [builders.agent(), builders.agent("research")]
    kube.apply(builders.system("one", ns, agents=both, workflow={"entry": "front"}))
    settled(kube, "one", ns)
    before = kube.get("Service", "one--front", ns)
    kube.apply(builders.system("one", ns, agents=both[:1], workflow={"entry": "front"}))
    eventually("research is gone", lambda: not _of_agent(kube, ns, "research"), within_s=15)
    after = kube.get("Service", "one--front", ns)
    assert before
    assert after
    assert before["metadata"]["uid"] == after["metadata"]["uid"]


def _of_agent(kube: Kube, ns: str, agent: str) -> list[dict[str, Any]]:
    kinds = ("Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy")
    labels = f"agentsystem.dev/agent={agent}"
    return [item for kind in kinds for item in kube.list(kind, ns, labels=labels)]


def test_a_deleted_system_costs_no_write_and_may_come_back(
    running: Process, kube: Kube, cluster_name: str, ns: str
) -> None:
    kube.apply(builders.system("one", ns))
    settled(kube, "one", ns)
    before = len(writes(cluster_name, ns))
    kube.delete("AgentSystem", "one", ns)
    eventually("children are gone", lambda: not _of_agent(kube, ns, "front"), within_s=30)
    time.sleep(1)
    assert len(writes(cluster_name, ns)) == before
    kube.apply(builders.system("one", ns))
    uid = settled(kube, "one", ns)["metadata"]["uid"]
    owners = [
        child["metadata"]["ownerReferences"][0]["uid"] for child in _of_agent(kube, ns, "front")
    ]
    assert owners == [uid] * 5


def test_delete_and_recreate_at_once_ends_with_children_of_the_new_one(
    running: Process, kube: Kube, ns: str
) -> None:
    kube.apply(builders.system("one", ns))
    settled(kube, "one", ns)
    kube.delete("AgentSystem", "one", ns)
    uid = kube.apply(builders.system("one", ns))["metadata"]["uid"]

    def all_new() -> bool:
        children = _of_agent(kube, ns, "front")
        owners = {child["metadata"]["ownerReferences"][0]["uid"] for child in children}
        return len(children) == 5 and owners == {uid}

    eventually("all children are the new one's", all_new, within_s=45)


def test_a_taken_name_is_explained_and_left_alone(running: Process, kube: Kube, ns: str) -> None:
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "one--front", "namespace": ns},
            "spec": {"ports": [{"port": 80}]},
        }
    )
    kube.apply(builders.system("one", ns))
    live = settled(kube, "one", ns)
    valid = conditions(live)["ConfigValid"]
    assert (valid["status"], valid["reason"]) == ("False", "NameTaken")
    assert kube.get("Deployment", "one--front-a", ns) is None


def test_a_changed_config_map_reaches_the_pods_and_an_unrelated_one_nobody(
    running: Process, kube: Kube, ns: str
) -> None:
    agent = builders.agent()
    del agent["instructions"]
    agent["instructionsFrom"] = {"configMapKeyRef": {"name": "texts", "key": "front"}}
    kube.apply(builders.config_map("texts", ns, front="First."))
    kube.apply(builders.system("one", ns, agents=[agent]))
    settled(kube, "one", ns)
    before = eventually("a template", lambda: _revision(kube, ns), within_s=10)
    eventually("earlier tests' namespaces are gone", lambda: _is_quiet(running), within_s=90)
    passes = running.metric(PASSES)
    kube.apply(builders.config_map("unrelated", ns, front="Anything."))
    time.sleep(2)
    assert running.metric(PASSES) == passes
    kube.apply(builders.config_map("texts", ns, front="Second."))
    eventually("a new template", lambda: _revision(kube, ns) not in ("", before), within_s=10)


def _is_quiet(running: Process) -> bool:
    before = running.metric(PASSES)
    time.sleep(12)  # longer than counts wait before they are written
    return running.metric(PASSES) == before


def _revision(kube: Kube, ns: str) -> str:
    live = kube.get("Deployment", "one--front-a", ns)
    labels = live["spec"]["template"]["metadata"]["labels"] if live else {}
    return str(labels.get("agentsystem.dev/revision", ""))


def test_a_settled_world_costs_nothing(
    running: Process, kube: Kube, cluster_name: str, ns: str
) -> None:
    for number in range(3):
        kube.apply(builders.system(f"rest{number}", ns, agents=[builders.agent(replicas=0)]))
        settled(kube, f"rest{number}", ns)
    time.sleep(15)  # counts are written once after 10 s without movement
    began = datetime.now(UTC)
    time.sleep(REST_S)
    assert audit.restless(cluster_name, user=USER, for_s=REST_S) == []
    sweeps = [
        request
        for request in audit.requests(cluster_name, user=USER)
        if (request.verb, request.resource) == ("list", "agentsystems") and request.at >= began
    ]
    assert len(sweeps) <= 1


def test_an_apiserver_that_restarts_is_survived(
    running: Process, kube: Kube, cluster_name: str, ns: str
) -> None:
    kube.apply(builders.system("one", ns))
    settled(kube, "one", ns)
    restart = [sys.executable, "-m", "devcluster", "restart", "--name", cluster_name]
    subprocess.run([*restart, "apiserver"], cwd=ROOT, check=True, timeout=120)
    kube.apply(builders.system("one", ns, agents=[builders.agent(replicas=4)]))
    eventually("the edit arrives", lambda: _replicas(kube, ns) == 4, within_s=25)
    assert running.is_running()
    assert running.is_ready()
