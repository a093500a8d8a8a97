"""A node loses its power: agents go on elsewhere, and who cannot says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.builders import agent, system
from tests.devcluster import running
from tests.e2e.conftest import operator_is_ready
from tests.kube import Kube, conditions, eventually, is_true


@pytest.fixture
def cluster(cluster_name: str, operator: Kube) -> Iterator[running.Cluster]:
    """The dev cluster that runs the test; whole again afterwards."""
    found = running.Cluster(cluster_name)
    yield found
    for node in ("node-1", "node-2"):
        found.run("node", "start", node)
    wait = ("wait", "node", "--all", "--for=condition=Ready", "--timeout=90s")
    found.kubectl(*wait)
    eventually("operator ready", lambda: operator_is_ready(operator), within_s=120)


def is_ready(kube: Kube, name: str, ns: str) -> bool:
    return is_true(kube.get("AgentSystem", name, ns), "Ready")


def ready_on(kube: Kube, name: str, ns: str) -> list[str]:
    """The nodes of the system's pods that are ready, one for each."""
    found = kube.list("Pod", ns, labels=f"agentsystem.dev/system={name}")
    return sorted(
        pod["spec"]["nodeName"]
        for pod in found
        for each in pod["status"].get("conditions", [])
        if (each["type"], each["status"]) == ("Ready", "True")
    )


def said(kube: Kube, name: str, ns: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The system's conditions, and its only agent, as reported."""
    found = kube.get("AgentSystem", name, ns)
    assert found is not None
    return conditions(found), found["status"]["agents"][0]


def test_a_stopped_nodes_agents_are_replaced_and_one_waits_for_its_volume(
    operator: Kube, cluster: running.Cluster, ns: str
) -> None:
    """Two replicas are whole elsewhere in 90 s; SQLite waits for its node; status says both."""
    operator.apply(system("shop", ns, agents=[agent("front", replicas=2)]))
    operator.apply(system("diary", ns, memory={"sessions": {"store": "SQLite"}}))
    eventually("shop ready", lambda: is_ready(operator, "shop", ns), within_s=120)
    eventually("diary ready", lambda: is_ready(operator, "diary", ns), within_s=120)
    assert ready_on(operator, "shop", ns) == ["node-1", "node-2"]
    (lost,) = ready_on(operator, "diary", ns)
    (other,) = {"node-1", "node-2"} - {lost}

    cluster.run("node", "stop", lost)
    stopped_at = time.monotonic()

    def within(limit_s: float) -> float:
        return stopped_at + limit_s - time.monotonic()

    def shop_says_so() -> bool:
        _, front = said(operator, "shop", ns)
        return (front["ready"], front["reason"]) == (1, "BelowDesired")

    eventually("shop says that a pod is missing", shop_says_so, within_s=within(90))

    def shop_is_whole() -> bool:
        return ready_on(operator, "shop", ns) == [other] * 2

    eventually("shop is whole elsewhere", shop_is_whole, within_s=within(90))

    tied = f"front (needs its volume diary--front, made for node {lost})"
    seen, front = said(operator, "diary", ns)
    assert seen["Available"]["status"] == "False"
    assert seen["Available"]["message"] == f"too few available pods: {tied}"
    assert seen["Ready"]["message"] == seen["Available"]["message"]
    assert front["claim"] == "diary--front"

    def waits() -> bool:
        degraded = said(operator, "diary", ns)[0]["Degraded"]
        return (degraded["status"], degraded["reason"]) == ("True", "WaitingForVolume")

    eventually("diary waits for its volume", waits, within_s=within(150))
    seen, front = said(operator, "diary", ns)
    assert seen["Degraded"]["message"] == f"fewer pods than desired: {tied}"
    assert front["reason"] == "WaitingForVolume"
    told = [event["note"] for event in operator.list("Event", ns) if "Waiting" in event["reason"]]
    assert told == [f"fewer pods than desired: {tied}"]
    shop, front = said(operator, "shop", ns)
    assert (shop["Ready"]["status"], front["reason"]) == ("True", "AgentReady")

    cluster.run("node", "start", lost)
    eventually("diary is back", lambda: is_ready(operator, "diary", ns), within_s=120)
    assert ready_on(operator, "diary", ns) == [lost]
