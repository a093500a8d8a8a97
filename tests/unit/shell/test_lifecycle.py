"""Parts start in order, stop in order, and none may end unnoticed (I20)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agentsystem_operator.shell.lifecycle import Lifecycle, PartEnded, Plan
from tests.fakes.virtual_time import settle, virtual


class Caches:
    def __init__(self) -> None:
        self.synced = asyncio.Event()

    async def wait(self) -> None:
        await self.synced.wait()


class Parts:
    """Stand-ins for all parts; they write a diary."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.served = asyncio.Event()
        self.cache = Caches()
        self.stop = asyncio.Event()
        self.broken: Exception | None = None
        self.ended = asyncio.Event()

    async def wait(self) -> None:
        await self.served.wait()
        self.diary.append("served")

    async def drain(self, within_s: float) -> None:
        self.diary.append("drained")

    async def release(self) -> None:
        self.diary.append("released")

    async def close(self) -> None:
        self.diary.append("closed")

    def part(self, name: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            self.diary.append(f"{name} began")
            try:
                await self.ended.wait()
                if self.broken is not None:
                    raise self.broken
            except asyncio.CancelledError:
                self.diary.append(f"{name} cancelled")
                raise

        return run

    async def kopf(self) -> None:
        await self.stop.wait()
        await asyncio.sleep(1)
        self.diary.append("kopf ended")

    def lifecycle(self) -> Lifecycle:
        plan = Plan(
            startup=self,  # type: ignore[arg-type]  # a stand-in
            caches=self.cache,
            elector=self,  # type: ignore[arg-type]  # a stand-in
            workforce=self,  # type: ignore[arg-type]  # a stand-in
            fill={"systems": self.kopf, "watch": self.part("watch")},  # type: ignore[dict-item]
            ends=frozenset({"systems"}),
            lead={"work": self.part("work")},  # type: ignore[dict-item]
            close=[self.close],
        )
        return Lifecycle(plan, stop=self.stop)


@virtual
async def test_nobody_leads_before_the_caches_are_filled() -> None:
    parts = Parts()
    run = asyncio.create_task(parts.lifecycle().run())
    await asyncio.sleep(60)
    assert parts.diary == []
    parts.served.set()
    await settle()
    assert parts.diary == ["served", "watch began"]
    parts.cache.synced.set()
    await settle()
    assert parts.diary[-1] == "work began"
    parts.stop.set()
    await run


@virtual
async def test_stopping_drains_frees_the_lease_and_then_ends_the_watches() -> None:
    parts = Parts()
    parts.served.set()
    parts.cache.synced.set()
    run = asyncio.create_task(parts.lifecycle().run())
    await settle()
    parts.diary.clear()
    parts.stop.set()
    await run
    assert parts.diary == [
        "drained",
        "work cancelled",
        "released",
        "watch cancelled",
        "kopf ended",
        "closed",
    ]


@virtual
async def test_stopping_while_waiting_for_the_cluster_is_quick() -> None:
    parts = Parts()
    run = asyncio.create_task(parts.lifecycle().run())
    await asyncio.sleep(5)
    parts.stop.set()
    await asyncio.wait_for(run, 1)
    assert parts.diary == ["drained", "released", "closed"]


@virtual
async def test_a_part_that_breaks_ends_everything_with_its_error() -> None:
    parts = Parts()
    parts.served.set()
    parts.cache.synced.set()
    parts.broken = ZeroDivisionError()
    run = asyncio.create_task(parts.lifecycle().run())
    await asyncio.sleep(5)
    parts.ended.set()
    with pytest.raises(ZeroDivisionError):
        await run
    assert parts.diary[-1] == "closed"


@virtual
async def test_a_part_that_just_ends_is_a_fault_too() -> None:
    parts = Parts()
    parts.served.set()
    parts.cache.synced.set()
    run = asyncio.create_task(parts.lifecycle().run())
    await asyncio.sleep(5)
    parts.ended.set()
    with pytest.raises(PartEnded):
        await run
