"""Faults of the apiserver, before and after the commit, delay the result and never change it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agentsystem_operator import ports
from agentsystem_operator.model.observed import Unknown
from agentsystem_operator.model.references import Kind, Ref, SystemKey
from agentsystem_operator.shell.elector import Elector
from agentsystem_operator.shell.outage import Outage
from agentsystem_operator.shell.workforce import Workforce
from tests import builders
from tests.fakes import manifests
from tests.fakes.cluster import FakeCluster
from tests.fakes.leases import FakeLeases
from tests.fakes.rig import Rig
from tests.fakes.virtual_time import virtual

KEY = SystemKey("shop", "one")
QUIET_READS = {"read", "read_config_map", "read_cluster_keys", "identify"}
ERRORS = (
    ports.ClusterUnreachable("500"),
    ports.ClusterUnreachable("429", retry_after_s=2),
    ports.ConflictLost("409"),
    ports.Refused("403", status=403),
)


class Fire:
    """A cluster behind a bad line: a share of the calls fails, half of them after the commit."""

    def __init__(self, cluster: FakeCluster, seed: int) -> None:
        self._cluster = cluster
        self._dice = random.Random(seed)  # noqa: S311 -- a reproducible test
        self.share = 0.3

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._cluster, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            fails = self._dice.random() < self.share
            late = self._dice.random() < 0.5
            if fails and name in QUIET_READS:
                return Unknown("bad line")
            if fails and not late:
                raise self._dice.choice(ERRORS)
            answer = await method(*args, **kwargs)
            if fails:
                raise ports.ClusterUnreachable("reset")
            return answer

        return call


RECORDS = {Kind.CONFIG_MAP, Kind.CONTROLLER_REVISION}
"""Their number tells the history, which faults may shorten."""


def state(cluster: FakeCluster) -> dict[Ref, tuple[str, str, str | None]]:
    return {
        child.ref: (child.intent, child.ownership, child.controller_uid)
        for child in cluster.children()
        if child.ref.kind not in RECORDS
    }


@pytest.mark.parametrize("seed", range(10))
def test_thirty_percent_faults_end_in_the_same_state(seed: int) -> None:
    @virtual
    async def run() -> None:
        cluster = FakeCluster()
        fire = Fire(cluster, seed)
        rig = Rig(cluster, through=fire)
        tasks = _start(rig)
        rig.seen(cluster.add_system(KEY, manifests.spec(), uid="u"))
        await asyncio.sleep(30)
        both = [builders.agent(replicas=2), builders.agent("research")]
        spec = manifests.spec(agents=both, workflow={"entry": "front"})
        rig.seen(cluster.edit_system(KEY, spec))
        await asyncio.sleep(30)
        rig.seen(cluster.edit_system(KEY, manifests.spec(agents=both[:1])))
        await asyncio.sleep(60)
        fire.share = 0.0
        _show(rig)
        await asyncio.sleep(30)
        assert state(cluster) == await _reference(manifests.spec(agents=both[:1]))
        assert cluster.status(KEY)["observedGeneration"] == 3
        cluster.writes.clear()
        _show(rig)
        rig.queue.add(KEY)
        await asyncio.sleep(60)
        assert cluster.writes == []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run()


def _start(rig: Rig) -> list[asyncio.Task[None]]:
    loop = asyncio.get_running_loop()
    elector = Elector(FakeLeases(), identity="me", monotonic=loop.time)
    outage = Outage(rig.queue, probe=_nothing)
    work = Workforce(rig.queue, rig.reconciler, outage, passed=lambda *_: None)
    parts = (elector.run(), outage.run(), work.run(elector, began=lambda: None))
    return [asyncio.create_task(part) for part in parts]


async def _nothing() -> None:
    """Answer a probe."""


def _show(rig: Rig) -> None:
    """Show the present to the caches, as a watch would have."""
    for child in rig.cluster.children():
        rig.children.put(child)
    rig.seen(rig.cluster.system(KEY))


async def _reference(spec: dict[str, Any]) -> dict[Ref, tuple[str, str, str | None]]:
    rig = Rig(FakeCluster())
    rig.seen(rig.cluster.add_system(KEY, spec, uid="u"))
    await rig.work()
    found = state(rig.cluster)
    assert found
    return found
