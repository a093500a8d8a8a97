"""The whole tree of objects, without a cluster: who is told what."""

from __future__ import annotations

import asyncio
import functools

from agentsystem_operator import engine, settings
from agentsystem_operator.adapters.connection import Connection
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.wiring import Operator
from tests.fakes import manifests
from tests.fakes.cluster import FakeCluster
from tests.fakes.virtual_time import settle, virtual

KEY = SystemKey("shop", "one")


def operator(*flags: str) -> Operator:
    return Operator(
        settings.parse(flags, env={}),
        Connection("http://127.0.0.1:1", None, lambda: ""),
        evaluate=functools.partial(engine.evaluate, settings=manifests.SETTINGS),
        stop=asyncio.Event(),
        take_signals=lambda: None,
    )


def test_a_standby_collects_no_work_and_begins_with_all_there_is() -> None:
    _play(operator())


@virtual
async def _play(standby: Operator) -> None:
    following = await _filled(standby)
    cluster = FakeCluster()
    for number in range(100):
        passing = SystemKey("preview", f"p{number}")
        standby._store.put(cluster.add_system(passing, manifests.spec(), uid="u"))
        standby._store.remove(passing, uid="u")
    standby._store.put(cluster.add_system(KEY, manifests.spec()))
    assert standby._queue.depth == 0

    led_before = SystemKey("shop", "led-before")
    body = cluster.add_system(led_before, manifests.spec(), uid="u")
    standby._store.put(body)
    known = standby._store.get(led_before)
    assert known is not None
    standby._memory.of(known)
    standby._store.remove(led_before, uid="u")
    standby._elector.leading.set()
    standby._enqueue_all()
    assert {await standby._queue.take(), await standby._queue.take()} == {KEY, led_before}
    assert standby._queue.depth == 0
    following.cancel()


def test_a_namespace_that_is_seen_in_part_is_left_alone_and_then_worked_on() -> None:
    _see_bit_by_bit(operator("--namespaces", "shop,other"))


@virtual
async def _see_bit_by_bit(leader: Operator) -> None:
    cluster = FakeCluster()
    following = await _filled(leader, "other")
    leader._elector.leading.set()
    for key in (KEY, SystemKey("other", "one")):
        leader._store.put(cluster.add_system(key, manifests.spec()))
    assert await leader._queue.take() == SystemKey("other", "one")
    assert (leader._queue.depth, list(leader._coverage.unready)) == (0, [])

    (await _filled(leader, "shop")).cancel()
    assert await leader._queue.take() == KEY
    following.cancel()


async def _filled(operator: Operator, namespace: str | None = None) -> asyncio.Task[None]:
    """Fill the caches of a namespace."""
    for _, reflector in operator._reflectors:
        if reflector.source.namespace == namespace:
            reflector.answered.set()
            reflector.synced.set()
    following = asyncio.create_task(operator._coverage.follow())
    await settle()
    return following
