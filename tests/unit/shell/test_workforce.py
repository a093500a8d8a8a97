"""Workers run while we lead, and one broken system never stops the others (I12, I13)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from agentsystem_operator import ports
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.shell import workforce as module
from agentsystem_operator.shell.elector import Elector
from agentsystem_operator.shell.outage import Outage
from agentsystem_operator.shell.queue import Queue
from agentsystem_operator.shell.reconciler import Result
from agentsystem_operator.shell.workforce import Stuck, Workforce
from tests.fakes.leases import FakeLeases
from tests.fakes.virtual_time import settle, virtual

GOOD, BAD = SystemKey("shop", "good"), SystemKey("shop", "bad")
Pass = Callable[[SystemKey], Awaitable[Result]]


class Reconciler:
    """Does what a test says, and counts."""

    def __init__(self, do: Pass) -> None:
        self._do = do
        self.done: list[SystemKey] = []

    async def reconcile(self, key: SystemKey) -> Result:
        result = await self._do(key)
        self.done.append(key)
        return result


class Site:
    """A workforce with everything around it."""

    def __init__(self, do: Pass) -> None:
        self.queue: Queue[SystemKey] = Queue(jitter=lambda: 1.0)
        self.passed: list[str] = []
        self.reconciler = Reconciler(do)
        self.leases = FakeLeases()
        self.probes = 0
        loop = asyncio.get_running_loop()
        self.elector = Elector(self.leases, identity="me", monotonic=loop.time)
        self.outage = Outage(self.queue, probe=self._probe)
        self.workforce = Workforce(
            self.queue,
            self.reconciler,
            self.outage,
            passed=lambda result, _: self.passed.append(result),
        )

    async def _probe(self) -> None:
        self.probes += 1


@asynccontextmanager
async def working(do: Pass) -> AsyncIterator[Site]:
    site = Site(do)
    parts = (site.elector.run(), site.outage.run(), site.workforce.run(site.elector, began=settled))
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        yield site
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def settled() -> None:
    """Nothing is known at the beginning."""


@virtual
async def test_a_pass_that_breaks_costs_its_own_system_a_backoff() -> None:
    async def do(key: SystemKey) -> Result:
        if key == BAD:
            raise ZeroDivisionError
        return Result.SETTLED

    async with working(do) as site:
        site.queue.add(BAD)
        site.queue.add(GOOD)
        await asyncio.sleep(10)
        assert site.reconciler.done == [GOOD]
        assert site.passed.count("failed") == 5
        assert site.passed.count("settled") == 1


@virtual
async def test_an_unreachable_apiserver_pauses_everything_and_loses_nothing() -> None:
    away = True

    async def do(key: SystemKey) -> Result:
        if away:
            raise ports.ClusterUnreachable("away", retry_after_s=5)
        return Result.SETTLED

    async with working(do) as site:
        site.queue.add(BAD)
        await settle()
        site.queue.add(GOOD)
        await asyncio.sleep(4)
        assert (site.passed, site.queue.paused) == (["unreachable"], True)
        away = False
        await asyncio.sleep(6)
        assert sorted(site.reconciler.done) == [BAD, GOOD]
        assert site.probes == 1


@virtual
async def test_workers_stop_when_the_lease_is_lost_and_start_again() -> None:
    started = []

    async def do(key: SystemKey) -> Result:
        started.append(key)
        await asyncio.sleep(3600)
        return Result.SETTLED

    async with working(do) as site:
        site.queue.add(GOOD)
        await settle()
        assert started == [GOOD]
        site.leases.held_by("thief")
        await asyncio.sleep(5)
        assert site.queue.running == 0
        site.queue.add(BAD)
        await asyncio.sleep(5)
        assert started == [GOOD]
        await asyncio.sleep(30)  # the thief does not renew
        assert started == [GOOD, BAD]


@virtual
async def test_a_worker_that_does_not_stop_is_the_end_of_the_process() -> None:
    async def do(key: SystemKey) -> Result:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if len(site.leases.calls) > 1000:
                    raise

    site = Site(do)
    election = asyncio.create_task(site.elector.run())
    work = asyncio.create_task(site.workforce.run(site.elector, began=settled))
    site.queue.add(GOOD)
    await settle()
    site.leases.held_by("thief")
    with pytest.raises(Stuck):
        await asyncio.wait_for(work, module.STOP_S + 10)
    election.cancel()
    site.leases.calls.extend(["end"] * 1001)  # let the stuck one go, so that the loop can close


@virtual
async def test_draining_lets_running_passes_finish_and_starts_no_other() -> None:
    async def do(key: SystemKey) -> Result:
        await asyncio.sleep(2)
        return Result.SETTLED

    async with working(do) as site:
        site.queue.add(GOOD)
        await settle()
        drained = asyncio.create_task(site.workforce.drain(10))
        await settle()
        site.queue.add(BAD)
        began = asyncio.get_running_loop().time()
        await drained
        assert asyncio.get_running_loop().time() - began == pytest.approx(2, abs=0.1)
        assert site.reconciler.done == [GOOD]


@virtual
async def test_draining_is_bounded() -> None:
    async def do(key: SystemKey) -> Result:
        await asyncio.sleep(3600)
        return Result.SETTLED

    async with working(do) as site:
        site.queue.add(GOOD)
        await settle()
        began = asyncio.get_running_loop().time()
        await site.workforce.drain(10)
        assert asyncio.get_running_loop().time() - began == pytest.approx(10, abs=0.1)


@virtual
async def test_so_many_systems_are_worked_on_at_once_and_no_more() -> None:
    most = 0

    async def do(key: SystemKey) -> Result:
        nonlocal most
        most = max(most, site.queue.running)
        await asyncio.sleep(1)
        return Result.SETTLED

    async with working(do) as site:
        for number in range(100):
            site.queue.add(SystemKey("shop", str(number)))
        await asyncio.sleep(10)
        assert most == module.WORKERS == 24
        assert len(site.reconciler.done) == 100
