"""What every ledger promises (cost/ledger.py), asked of each of them; Redis is a real server."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from agent_runtime.cost.budget import Totals
from agent_runtime.cost.ledger import LEASE_S, Ledger, MemoryLedger
from agent_runtime.cost.ledger_redis import RedisLedger
from agent_runtime.cost.ledger_sqlite import open_ledger
from agent_runtime.stores.base import StoreUnavailable
from agent_runtime.stores.redis import Redis, RedisServer
from tests.contract.runtime.servers import Server, redis_server

DAY, CAP = "Day-2026-11-28", 1_000
SHORT_LEASE_S = 0.3
"""On Redis, whose clock is its own; the others are told the time."""


class Moment:
    """Time of ledgers that take ours; on Redis time passes by itself."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


Pass = Callable[[float], Awaitable[None]]
"""Lets so many leases' length pass."""


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with redis_server() as server:
        yield server


@asynccontextmanager
async def shared(server: Server, *, lease_s: float = LEASE_S) -> AsyncIterator[RedisLedger]:
    redis = Redis(RedisServer("127.0.0.1", server.port))
    redis.start()
    try:
        yield RedisLedger(redis, "shop", "support", lease_s=lease_s)
    finally:
        await redis.close()


async def emptied(server: Server) -> None:
    redis = Redis(RedisServer("127.0.0.1", server.port))
    redis.start()
    await redis.command("FLUSHALL")
    await redis.close()


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def kept(
    request: pytest.FixtureRequest, running: Server, tmp_path: Path
) -> AsyncIterator[tuple[Ledger, Pass]]:
    moment = Moment()

    async def told(leases: float) -> None:
        moment.now += leases * LEASE_S

    async def waited(leases: float) -> None:
        await asyncio.sleep(leases * SHORT_LEASE_S)

    async with AsyncExitStack() as stack:
        ledger: Ledger
        match request.param:
            case "memory":
                ledger, passes = MemoryLedger(moment), told
            case "sqlite":
                ledger, passes = await open_ledger(tmp_path / "ledger.db", clock=moment), told
            case _:
                await emptied(running)
                ledger = await stack.enter_async_context(shared(running, lease_s=SHORT_LEASE_S))
                passes = waited
        stack.push_async_callback(ledger.close)
        yield ledger, passes


async def test_what_fits_is_reserved_and_what_does_not_is_refused(
    kept: tuple[Ledger, Pass],
) -> None:
    ledger, _ = kept
    assert await ledger.reserve(DAY, "a", 600, CAP) == (True, Totals(0, 600))
    assert await ledger.reserve(DAY, "b", 401, CAP) == (False, Totals(0, 600))
    assert await ledger.reserve(DAY, "c", 400, CAP) == (True, Totals(0, 1_000))


async def test_a_settlement_takes_the_place_of_its_reservation_and_counts_once(
    kept: tuple[Ledger, Pass],
) -> None:
    ledger, _ = kept
    await ledger.reserve(DAY, "a", 600, CAP)
    assert await ledger.settle(DAY, "a", 50) == Totals(50, 0)
    assert await ledger.settle(DAY, "a", 50) == Totals(50, 0)


async def test_asking_again_for_the_same_hold_reserves_once(kept: tuple[Ledger, Pass]) -> None:
    ledger, _ = kept
    await ledger.reserve(DAY, "a", 600, CAP)
    assert await ledger.reserve(DAY, "a", 600, CAP) == (True, Totals(0, 600))


async def test_nothing_charged_releases_a_reservation(kept: tuple[Ledger, Pass]) -> None:
    ledger, _ = kept
    await ledger.reserve(DAY, "a", 600, CAP)
    assert await ledger.settle(DAY, "a", 0) == Totals(0, 0)


async def test_a_reservation_that_nobody_renews_is_gone_after_its_lease(
    kept: tuple[Ledger, Pass],
) -> None:
    ledger, passes = kept
    await ledger.reserve(DAY, "a", 600, CAP)
    await passes(1.1)
    assert await ledger.reserve(DAY, "b", 1_000, CAP) == (True, Totals(0, 1_000))


async def test_a_renewed_reservation_stays(kept: tuple[Ledger, Pass]) -> None:
    ledger, passes = kept
    await ledger.reserve(DAY, "a", 600, CAP)
    await passes(0.6)
    await ledger.renew(DAY, ["a"])
    await passes(0.6)
    assert await ledger.renew(DAY, []) == Totals(0, 600)


async def test_what_is_settled_after_its_lease_is_charged_nevertheless(
    kept: tuple[Ledger, Pass],
) -> None:
    ledger, passes = kept
    await ledger.reserve(DAY, "a", 600, CAP)
    await passes(1.1)
    assert await ledger.settle(DAY, "a", 70) == Totals(70, 0)


async def test_periods_are_apart(kept: tuple[Ledger, Pass]) -> None:
    ledger, _ = kept
    await ledger.reserve(DAY, "a", 600, CAP)
    assert await ledger.renew("Day-2026-11-29", []) == Totals(0, 0)


async def test_200_at_once_never_hold_more_than_the_budget(kept: tuple[Ledger, Pass]) -> None:
    ledger, _ = kept
    samples: list[int] = []

    async def one(number: int) -> bool:
        fits, totals = await ledger.reserve(DAY, f"h{number}", 10, CAP)
        samples.append(totals.used)
        if fits:
            samples.append((await ledger.settle(DAY, f"h{number}", 8)).used)
        return fits

    served = await asyncio.gather(*(one(number) for number in range(200)))
    assert max(samples) <= CAP
    assert await ledger.renew(DAY, []) == Totals(8 * sum(served), 0)
    assert sum(served) >= CAP // 10


_POD = """
import asyncio, sys
from agent_runtime.cost.ledger_redis import RedisLedger
from agent_runtime.stores.redis import Redis, RedisServer
async def main():
    redis = Redis(RedisServer("127.0.0.1", int(sys.argv[1])))
    redis.start()
    ledger = RedisLedger(redis, "shop", "support", lease_s=1.0)
    for number in range(5):
        await ledger.reserve(sys.argv[2], f"pod-{number}", 100, 1000)
    print("reserved", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_what_a_killed_pod_had_reserved_is_free_after_its_lease(running: Server) -> None:
    await emptied(running)
    pod = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _POD, str(running.port), DAY, stdout=subprocess.PIPE
    )
    assert pod.stdout is not None
    assert (await pod.stdout.readline()).strip() == b"reserved"
    os.kill(pod.pid, signal.SIGKILL)
    await pod.wait()
    async with shared(running) as ledger:
        assert await ledger.renew(DAY, []) == Totals(0, 500)
        await asyncio.sleep(1.1)
        assert await ledger.renew(DAY, []) == Totals(0, 0)


async def test_a_file_remembers_what_was_settled_and_reserved(tmp_path: Path) -> None:
    first = await open_ledger(tmp_path / "ledger.db")
    await first.reserve(DAY, "a", 600, CAP)
    await first.settle(DAY, "b", 30)
    await first.close()
    second = await open_ledger(tmp_path / "ledger.db")
    assert await second.renew(DAY, []) == Totals(30, 600)
    await second.close()


async def test_a_server_that_is_away_is_told() -> None:
    with redis_server() as server:
        async with shared(server) as ledger:
            await ledger.reserve(DAY, "a", 1, CAP)
            server.kill()
            with pytest.raises(StoreUnavailable):
                await ledger.settle(DAY, "a", 1)
