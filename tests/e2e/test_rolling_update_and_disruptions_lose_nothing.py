"""What takes a pod away on purpose is invisible to clients: one load, four disruptions."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx

from tests.builders import agent, system
from tests.e2e import load
from tests.kube import Kube, eventually, is_true

PER_SECOND = 100
AT_MOST_S = 240
HERE, DRAINED = "node-1", "node-2"


def pods(kube: Kube, ns: str) -> dict[str, Any]:
    """The agent's pods that are not about to go, by name."""
    found = kube.list("Pod", ns, labels="agentsystem.dev/system=shop")
    return {
        pod["metadata"]["name"]: pod for pod in found if "deletionTimestamp" not in pod["metadata"]
    }


def whole(kube: Kube, ns: str) -> dict[str, Any]:
    """Wait until both pods have been ready for long enough to count as available."""

    def both() -> dict[str, Any]:
        (deployment,) = kube.list("Deployment", ns)
        found, status = pods(kube, ns), deployment["status"]
        counts = [status.get(f"{which}eplicas", 0) for which in ("updatedR", "availableR", "r")]
        seen = status["observedGeneration"] == deployment["metadata"]["generation"]
        # the Deployment's counts lag behind its pods
        there = [pod for pod in found.values() if is_ready(pod)]
        return found if len(found) == len(there) == 2 and seen and counts == [2, 2, 2] else {}

    return eventually("two available pods", both, within_s=90)


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def evict(kube: Kube, ns: str, pod: str) -> bool:
    """Ask as a drain does; the PodDisruptionBudget has to agree, and notices others late."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": ns},
    }
    answer = kube.http.post(
        f"/api/v1/namespaces/{ns}/pods/{pod}/eviction",
        content=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    assert answer.is_success or answer.status_code == httpx.codes.TOO_MANY_REQUESTS, answer.text
    return answer.is_success


class Steps:
    """What was being done at a time, so that a failure says what it came from."""

    def __init__(self) -> None:
        self._begun: list[tuple[float, str]] = []

    def begin(self, what: str) -> None:
        self._begun.append((time.time(), what))

    def at(self, when: float) -> str:
        begun, what = max((step for step in self._begun if step[0] <= when), default=(when, "?"))
        return f"{when - begun:.1f} s into {what!r}"


def test_no_request_fails_when_pods_are_deleted_evicted_drained_or_rolled(
    operator: Kube, ns: str
) -> None:
    """Two replicas, store Memory, no session id, 100 requests/s throughout: 0 failures."""
    operator.apply(system("shop", ns, agents=[agent("front", replicas=2)]))
    ready(operator, ns)
    whole(operator, ns)
    url = f"http://shop.{ns}.svc:8000/v1/chat/completions"
    client = load.start(operator, ns, url, per_second=PER_SECOND, seconds=AT_MOST_S, node=HERE)
    steps = Steps()

    steps.begin("delete")
    deleted, *_ = pods(operator, ns)
    operator.delete("Pod", deleted, ns)
    evicted = next(name for name in whole(operator, ns) if name != deleted)
    steps.begin("evict")
    eventually("evicted", lambda: evict(operator, ns, evicted), within_s=30)
    assert not {deleted, evicted} & whole(operator, ns).keys()
    steps.begin("drain")
    try:
        drain(operator)
        assert {pod["spec"]["nodeName"] for pod in whole(operator, ns).values()} == {HERE}
    finally:
        operator.kubectl("uncordon", DRAINED)
    steps.begin("roll")
    before = whole(operator, ns)
    changed = agent("front", replicas=2, instructions="Be brief.")
    operator.apply(system("shop", ns, agents=[changed]))
    ready(operator, ns)
    assert not before.keys() & whole(operator, ns).keys()
    steps.begin("stop")
    load.stop(operator, ns, client)

    seen = load.finish(operator, ns, client, within_s=60)
    assert [(steps.at(when), why) for when, why in seen.failures] == []
    assert seen.sent >= 20 * PER_SECOND


def ready(kube: Kube, ns: str) -> None:
    eventually("ready", lambda: is_true(kube.get("AgentSystem", "shop", ns), "Ready"), within_s=120)


def drain(kube: Kube) -> None:
    """Empty a node as an administrator does; another one's pods may have to wait their turn."""
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s")
    kube.kubectl("drain", DRAINED, *options)
