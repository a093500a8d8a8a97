"""An apiserver that is away pauses everything, and is noticed soon after it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentsystem_operator import ports
from agentsystem_operator.shell.outage import Outage
from agentsystem_operator.shell.queue import Queue
from tests.fakes.virtual_time import settle, virtual


class Apiserver:
    """Answers probes, or does not."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.hangs = False
        self.takes_s = 0.0
        self.probes: list[float] = []

    async def probe(self) -> None:
        self.probes.append(asyncio.get_running_loop().time())
        await asyncio.sleep(3600 if self.hangs else self.takes_s)
        if self.fault is not None:
            raise self.fault


@asynccontextmanager
async def running(server: Apiserver) -> AsyncIterator[tuple[Queue[str], Outage]]:
    queue: Queue[str] = Queue()
    outage = Outage(queue, probe=server.probe)
    task = asyncio.create_task(outage.run())
    try:
        yield queue, outage
    finally:
        task.cancel()


def unreachable(retry_after_s: float | None = None) -> ports.ClusterUnreachable:
    return ports.ClusterUnreachable("away", retry_after_s=retry_after_s)


@virtual
async def test_one_broken_object_costs_one_probe() -> None:
    server = Apiserver()
    async with running(server) as (queue, outage):
        outage.report(unreachable())
        assert queue.paused
        await settle()
        assert (queue.paused, len(server.probes)) == (False, 1)


@virtual
async def test_the_queue_goes_on_within_five_seconds_of_the_answer() -> None:
    server = Apiserver()
    server.fault = unreachable()
    async with running(server) as (queue, outage):
        queue.unreachable("held up")
        outage.report(unreachable())
        await asyncio.sleep(180)
        assert queue.paused
        server.fault = None
        back = asyncio.get_running_loop().time()
        assert await queue.take() == "held up"
        assert asyncio.get_running_loop().time() - back <= 5


@virtual
async def test_a_probe_that_hangs_is_given_up() -> None:
    server = Apiserver()
    server.hangs = True
    async with running(server) as (queue, outage):
        outage.report(unreachable())
        await asyncio.sleep(30)
        server.hangs = False
        await asyncio.sleep(5)
        assert not queue.paused


@virtual
async def test_retry_after_is_honoured() -> None:
    server = Apiserver()
    async with running(server) as (queue, outage):
        began = asyncio.get_running_loop().time()
        outage.report(unreachable(retry_after_s=7))
        outage.report(unreachable())
        await asyncio.sleep(6.9)
        assert queue.paused
        assert server.probes == []
        await asyncio.sleep(0.2)
        assert not queue.paused
        assert server.probes[0] - began >= 7


@virtual
async def test_an_apiserver_that_refuses_the_probe_is_there() -> None:
    server = Apiserver()
    server.fault = ports.Refused("403", status=403)
    async with running(server) as (queue, outage):
        outage.report(unreachable())
        await settle()
        assert not queue.paused


@virtual
async def test_a_longer_retry_after_that_comes_later_is_honoured_too() -> None:
    server = Apiserver()
    async with running(server) as (queue, outage):
        outage.report(unreachable(retry_after_s=1))
        await asyncio.sleep(0.5)
        outage.report(unreachable(retry_after_s=10))
        await asyncio.sleep(9.9)
        assert queue.paused
        assert server.probes == []
        await asyncio.sleep(0.2)
        assert not queue.paused


@virtual
async def test_a_retry_after_that_comes_during_the_probe_is_honoured_too() -> None:
    server = Apiserver()
    server.takes_s = 1.0
    async with running(server) as (queue, outage):
        outage.report(unreachable())
        await asyncio.sleep(0.5)
        outage.report(unreachable(retry_after_s=10))
        await asyncio.sleep(9.9)
        assert queue.paused
        await asyncio.sleep(2)
        assert not queue.paused
