"""The operator's process is killed again and again while it rolls a system out; nobody notices."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import audit, builders
from tests.builders import agent, system
from tests.chaos import fingerprint
from tests.chaos.admin import Admin
from tests.devcluster import running
from tests.e2e.conftest import OPERATOR, OPERATOR_NS, operator_is_ready
from tests.kube import Kube, Object, eventually, is_true

AGENTS = ("front", "research")
KILLS = 4
SEED = 4


def test_kills_in_the_middle_of_rollouts_end_in_the_world_of_an_undisturbed_one(
    operator: Kube, ns: str, cluster_name: str
) -> None:
    """Each agent has a ready pod at all times, and nothing is made twice."""
    moments = random.Random(SEED)  # noqa: S311 - the same moments in each run
    operator.apply(shop(ns, edition=0))
    eventually("ready", lambda: is_ready(operator, ns), within_s=120)
    with least_ready(operator, ns) as least:
        for edition in range(1, KILLS + 1):
            operator.apply(shop(ns, edition=edition))
            time.sleep(moments.uniform(0.0, 1.5))
            kill_the_leader(operator)
        eventually("ready again", lambda: is_ready(operator, ns), within_s=180)
    assert min(least.values()) >= 1, least
    eventually("both operators run", lambda: operator_is_ready(operator), within_s=120)
    assert as_if_undisturbed(operator, ns) == []
    made = [
        (request.resource, request.name)
        for request in audit.writes(cluster_name, user=USER, namespace=ns)
        if request.code == 201 and request.resource != "events"
    ]
    assert len(made) == len(set(made))


USER = f"system:serviceaccount:{OPERATOR_NS}:{OPERATOR}"


def shop(ns: str, *, edition: int) -> Object:
    agents = [agent(name, replicas=2, instructions=f"Edition {edition}.") for name in AGENTS]
    return system("shop", ns, agents=agents)


def is_ready(kube: Kube, ns: str) -> bool:
    return is_true(kube.get("AgentSystem", "shop", ns), "Ready")


def kill_the_leader(kube: Kube) -> None:
    """SIGKILL the process of whoever leads, once somebody does."""

    def leader() -> Object | None:
        lease = kube.get("Lease", "agentsystem-shard-0", OPERATOR_NS) or {}
        pods = {pod["metadata"]["uid"]: pod for pod in kube.list("Pod", OPERATOR_NS)}
        return pods.get(lease["spec"]["holderIdentity"])

    pod = eventually("somebody leads", leader, within_s=30)
    assert pod is not None
    for process in running.processes_of_pod(pod["metadata"]["uid"]):
        os.kill(process, signal.SIGKILL)


@contextmanager
def least_ready(kube: Kube, ns: str) -> Iterator[dict[str, int]]:
    """The least number of ready pods that each agent was seen with, ten looks a second."""
    least = dict.fromkeys(AGENTS, 2)
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            pods = kube.list("Pod", ns, labels="agentsystem.dev/system=shop")
            for name in AGENTS:
                ready = sum(serves(pod) for pod in pods if of_agent(pod) == name)
                least[name] = min(least[name], ready)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield least
    finally:
        over.set()
        thread.join()


def of_agent(pod: Object) -> str:
    return str(pod["metadata"]["labels"]["agentsystem.dev/agent"])


def serves(pod: Object) -> bool:
    found = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in found)


def as_if_undisturbed(kube: Kube, ns: str) -> list[str]:
    """What differs from a fresh install of the final spec in a namespace of its own."""
    fresh_ns = f"{ns[:50]}-fresh"
    kube.apply(builders.namespace(fresh_ns))
    try:
        kube.apply(shop(fresh_ns, edition=KILLS))
        eventually("the fresh one is ready", lambda: is_ready(kube, fresh_ns), within_s=120)
        seen, fresh = asyncio.run(worlds(kube, ns, fresh_ns))
    finally:
        kube.delete("Namespace", fresh_ns)
    wanted = fingerprint.without_history(fresh, of=fresh)
    return fingerprint.differences(fingerprint.without_history(seen, of=fresh), wanted)


async def worlds(kube: Kube, *namespaces: str) -> list[fingerprint.World]:
    admin = Admin(Path(kube.kubeconfig))
    try:
        return [await fingerprint.world(admin, ns, "shop") for ns in namespaces]
    finally:
        await admin.close()
