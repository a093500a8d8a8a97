"""What every ledger promises (cost/ledger.py), asked of each of them; Redis is a real server."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from agent_runtime.cost.budget import Totals
from agent_runtime.cost.ledger import LEASE_S, Ledger, MemoryLedger
from agent_runtime.cost.ledger_redis import RedisLedger
from agent_runtime.cost.ledger_sqlite import open_ledger
from agent_runtime.stores.base import StoreUnavailable
from agent_runtime.stores.redis import Redis
from tests.contract.runtime import leases
from tests.contract.runtime.servers import Server, connected, redis_server

DAY, CAP = "Day-2026-11-28", 1_000


class Moment:
    """Time of ledgers that take ours; Redis has its own."""

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


@pytest.fixture
async def redis(running: Server) -> AsyncIterator[Redis]:
    """A client of a server that knows nothing."""
    async with connected(running) as client:
        await client.command("FLUSHALL")
        yield client


def shared(redis: Redis) -> RedisLedger:
    return RedisLedger(redis, "shop", "support")


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def kept(
    request: pytest.FixtureRequest, redis: Redis, tmp_path: Path
) -> AsyncIterator[tuple[Ledger, Pass]]:
    moment = Moment()

    async def told(lengths: float) -> None:
        moment.now += lengths * LEASE_S

    async def shifted(lengths: float) -> None:
        await leases.let_pass(redis, lengths * LEASE_S)

    ledger: Ledger
    match request.param:
        case "memory":
            ledger, passes = MemoryLedger(moment), told
        case "sqlite":
            ledger, passes = await open_ledger(tmp_path / "ledger.db", clock=moment), told
        case _:
            ledger, passes = shared(redis), shifted
    yield ledger, passes
    await ledger.close()


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
    ledger = RedisLedger(redis, "shop", "support")
    for number in range(5):
        await ledger.reserve(sys.argv[2], f"pod-{number}", 100, 1000)
    print("reserved", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_what_a_killed_pod_had_reserved_is_free_after_its_lease(
    running: Server, redis: Redis
) -> None:
    pod = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _POD, str(running.port), DAY, stdout=subprocess.PIPE
    )
    assert pod.stdout is not None
    assert (await pod.stdout.readline()).strip() == b"reserved"
    os.kill(pod.pid, signal.SIGKILL)
    await pod.wait()
    ledger = shared(redis)
    assert await ledger.renew(DAY, []) == Totals(0, 500)
    await leases.let_pass(redis, LEASE_S)
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
        async with connected(server) as redis:
            ledger = shared(redis)
            await ledger.reserve(DAY, "a", 1, CAP)
            server.kill()
            with pytest.raises(StoreUnavailable):
                await ledger.settle(DAY, "a", 1)
