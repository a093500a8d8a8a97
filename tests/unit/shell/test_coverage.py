"""A namespace that is not shown to us keeps no other waiting, and is left alone."""

from __future__ import annotations

import asyncio

from agentsystem_operator.shell.coverage import Coverage, Scope
from tests.fakes.virtual_time import settle, virtual


class Kind:
    """A cache that a test fills or is refused."""

    def __init__(self) -> None:
        self.synced = asyncio.Event()
        self.answered = asyncio.Event()
        self.refusal = ""

    def fill(self) -> None:
        self.refusal = ""
        self.answered.set()
        self.synced.set()

    def refuse(self, why: str) -> None:
        self.refusal = why
        self.answered.set()


class Rig:
    """A coverage of some scopes, of two kinds each, that is followed and waited for."""

    def __init__(self, *scopes: Scope) -> None:
        self.caches = {scope: {"Service": Kind(), "Deployment": Kind()} for scope in scopes}
        self.told: list[Scope] = []
        self.coverage = Coverage(self.caches, served=self.told.append)
        self.following = asyncio.create_task(self.coverage.follow())
        self.waiting = asyncio.create_task(self.coverage.wait())

    async def fill(self, scope: Scope) -> None:
        for cache in self.caches[scope].values():
            cache.fill()
        await settle()

    async def refuse(self, scope: Scope, why: str) -> None:
        for cache in self.caches[scope].values():
            cache.refuse(why)
        await settle()

    def end(self) -> None:
        self.following.cancel()
        self.waiting.cancel()


@virtual
async def test_the_whole_cluster_is_served_when_every_kind_was_listed() -> None:
    rig = Rig(None)
    rig.caches[None]["Service"].fill()
    await settle()
    assert not rig.coverage.serves("shop")
    assert list(rig.coverage.unready) == ["not listed yet: Deployment"]

    await rig.fill(None)
    assert rig.coverage.serves("shop")
    assert (rig.waiting.done(), rig.told, list(rig.coverage.unready)) == (True, [None], [])
    rig.end()


@virtual
async def test_a_refused_namespace_is_named_and_waited_for_by_nobody() -> None:
    rig = Rig("a", "b")
    await rig.fill("a")
    assert not rig.waiting.done()  # nothing is known of b yet

    await rig.refuse("b", "forbidden")
    assert rig.waiting.done()
    assert [rig.coverage.serves(name) for name in ("a", "b", "c")] == [True, False, False]
    assert list(rig.coverage.unready) == []
    assert list(rig.coverage.missing) == [
        "namespace b is not served: Service (and 1 more kinds): forbidden"
    ]

    await rig.fill("b")
    assert rig.coverage.serves("b")
    assert (rig.told, list(rig.coverage.missing)) == (["a", "b"], [])
    rig.end()


@virtual
async def test_a_namespace_that_is_seen_in_part_is_not_served() -> None:
    rig = Rig("a", "b")
    await rig.fill("a")
    rig.caches["b"]["Service"].fill()
    rig.caches["b"]["Deployment"].refuse("forbidden")
    await settle()
    assert rig.waiting.done()
    assert not rig.coverage.serves("b")
    assert list(rig.coverage.missing) == ["namespace b is not served: Deployment: forbidden"]
    rig.end()


@virtual
async def test_with_nothing_to_serve_there_is_no_leader_and_the_reason_is_said() -> None:
    rig = Rig("a", "b")
    await rig.refuse("a", "forbidden")
    await rig.refuse("b", "forbidden")
    assert not rig.waiting.done()
    assert [line.partition(":")[0] for line in rig.coverage.unready] == [
        "namespace a is not served",
        "namespace b is not served",
    ]
    rig.end()
