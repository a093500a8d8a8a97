"""A budget that several runtimes share: real processes, a real Redis and a simulated provider.

What is settled and what is reserved never exceed the amount, at whatever moment one looks, and a
process that is killed leaves nothing behind that outlives its lease.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent_runtime.app import receipts
from agent_runtime.cost import money
from agent_runtime.cost.budget import Period, Totals
from agent_runtime.cost.ledger import LEASE_S
from agent_runtime.cost.ledger_redis import RedisLedger
from agent_runtime.stores.redis import Redis
from tests.contract.runtime import charges, leases, outages, serving
from tests.contract.runtime.charges import PRICE
from tests.contract.runtime.outages import MIDWAY, WHOLE
from tests.contract.runtime.servers import Server, connected, redis_server, stores_of
from tests.contract.runtime.simulated import Simulated, simulating

CLIENTS, TURNS = 200, 15
ASKED = {"messages": [{"role": "user", "content": "one two three"}], "max_tokens": 100}
ANSWERING = {"match": {"model": "m"}, "fault": {"kind": "latency", "firstSeconds": 1.0}}


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


def document(there: Simulated, amount: str, *chain: str, **more: Any) -> dict[str, Any]:
    """A config whose agent asks models of one provider, each at a known price."""
    models = chain or ("m",)
    prices = [{"provider": "remote", "model": model, **PRICE} for model in models]
    return serving.config(
        contract="v1.1",
        routes=[{"name": "chat", "chain": [{"provider": "remote", "model": m} for m in models]}],
        providers=[{"name": "remote", "type": "OpenAI", "openAI": {"baseURL": f"{there.url}/v1"}}],
        budget={"amount": amount, "prices": prices},
        **more,
    )


async def ask(http: aiohttp.ClientSession, url: str, **more: Any) -> aiohttp.ClientResponse:
    async with http.post(f"{url}/v1/chat/completions", json={**ASKED, **more}) as response:
        await response.read()
        return response


class Watch:
    """Looks at the ledger again and again, past the runtimes."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.ledger = RedisLedger(redis, "shop", "support")
        self.period = Period.MONTH.key(datetime.now(UTC))
        self.key = f"-/shop/support/budget/{self.period}"
        self.seen: list[Totals] = []

    async def look(self) -> Totals:
        """Return what is there; nothing is swept."""
        found = await self.redis.command("HMGET", self.key, "settled", "reserved")
        return Totals(*(int(value or 0) for value in found))

    async def run(self) -> None:
        while True:
            self.seen.append(await self.look())
            await asyncio.sleep(0.002)

    async def leases_ms(self) -> dict[bytes, int]:
        """Return for how long each reservation still lasts."""
        seconds, micros = await self.redis.command("TIME")
        now = int(seconds) * 1000 + int(micros) // 1000
        holds = await self.redis.command("HGETALL", f"{self.key}/holds")
        opened = {hold for hold, held in zip(holds[::2], holds[1::2], strict=True) if held != b"s"}
        ends = await self.redis.command("ZRANGE", f"{self.key}/leases", 0, -1, "WITHSCORES")
        return {
            hold: int(float(end)) - now
            for hold, end in zip(ends[::2], ends[1::2], strict=True)
            if hold in opened
        }

    async def holders(self) -> set[bytes]:
        """Return the processes that have reserved something, as they call themselves."""
        return {hold.partition(b"-")[0] for hold in await self.leases_ms()}


@asynccontextmanager
async def watched(redis: Redis) -> AsyncIterator[Watch]:
    watch = Watch(redis)
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.wait([task])


async def crowd(
    client: Callable[[aiohttp.ClientSession, tuple[str, str], int], Coroutine[None, None, None]],
    urls: tuple[str, str],
    watch: Watch,
    kill: Callable[[], None],
) -> None:
    """Let all clients ask at once, and kill when both runtimes have reserved something."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http, asyncio.TaskGroup() as group:
        clients = [group.create_task(client(http, urls, number)) for number in range(CLIENTS)]
        while len(await watch.holders()) < 2:
            # a slow start may let one runtime take all until its first answers have ended
            assert not all(task.done() for task in clients), "both never held at once"
            await asyncio.sleep(0.005)
        kill()


async def test_200_at_once_and_kill_9_never_exceed_the_budget_and_leave_nothing_behind(
    running: Server, redis: Redis, tmp_path: Path
) -> None:
    amount = 70_000_000
    told: Counter[int] = Counter()

    async def client(http: aiohttp.ClientSession, urls: tuple[str, str], number: int) -> None:
        url = urls[number % 2]
        for _ in range(TURNS):
            try:
                response = await ask(http, url)
                told[response.status] += 1
            except aiohttp.ClientError:
                told[0] += 1
                url = urls[0]
            await asyncio.sleep(0.2)

    (tmp_path / "other").mkdir()
    async with simulating(rules=[ANSWERING]) as there, watched(redis) as watch:
        shared = document(there, money.usd(amount), stores=stores_of(redis=running))
        with (
            serving.process(shared, tmp_path) as one,
            serving.process(shared, tmp_path / "other") as other,
        ):
            await crowd(client, (one.url, other.url), watch, other.kill)
            assert set(told) <= {0, 200, 429}
            assert told[200] > 0
            assert told[429] > 0
            # the survivor's answers are charged; the others' reservations stand for a minute
            standing = await settled_but_for_the_killed(watch)
            assert 0 < max(standing.values()) <= LEASE_S * 1000
            await leases.let_pass(redis, LEASE_S)
            after = await watch.ledger.renew(watch.period, [])
            assert after.reserved == 0
            assert 0 < after.settled <= charges.billed(await there.counts())
    assert max(totals.used for totals in watch.seen) <= amount
    assert max(totals.reserved for totals in watch.seen) > amount // 2  # it was close


async def settled_but_for_the_killed(watch: Watch) -> dict[bytes, int]:
    """Return the leases that stay when what could be settled is."""
    before: dict[bytes, int] = {}
    async with asyncio.timeout(10):
        while True:
            leases = await watch.leases_ms()
            if leases.keys() == before.keys() and leases:
                return leases
            before = leases
            await asyncio.sleep(0.3)


async def test_without_redis_the_budget_is_unknown_until_it_is_back() -> None:
    with redis_server() as server:
        async with (
            simulating() as there,
            serving.serving(document(there, "0.05", stores=stores_of(redis=server))) as served,
            aiohttp.ClientSession() as http,
        ):
            response = await ask(http, served.url)
            assert (response.status, response.headers[receipts.BUDGET]) == (200, "available")
            server.kill()
            response = await ask(http, served.url)  # may cost more than a hundredth of the rest
            assert (response.status, response.headers[receipts.BUDGET]) == (503, "unknown")
            assert (await response.json())["error"]["code"] == "budget_unknown"
            assert response.headers["retry-after"] == "1"
            server.start()
            async with asyncio.timeout(10):
                while (await ask(http, served.url)).status != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)


async def test_what_the_budget_does_not_allow_is_told_in_openais_words() -> None:
    async with (
        simulating() as there,
        serving.serving(document(there, "0.0005")) as served,
        aiohttp.ClientSession() as http,
    ):
        response = await ask(http, served.url)
        error = (await response.json())["error"]
        assert response.status == 429
        assert (error["code"], error["type"]) == ("insufficient_quota", "insufficient_quota")
        assert response.headers["x-should-retry"] == "false"
        now = datetime.now(UTC)
        left_s = (Period.MONTH.ends(now) - now).total_seconds()
        assert int(response.headers["retry-after"]) == pytest.approx(left_s, abs=5)
        assert (await ask(http, served.url, max_tokens=10)).status == 200
        assert (await there.counts())["completed"] == 1


async def test_a_model_without_a_price_is_refused_by_name() -> None:
    async with simulating() as there, aiohttp.ClientSession() as http:
        unpriced = document(there, "1")
        unpriced["budget"]["prices"] = []
        async with serving.serving(unpriced) as served:
            response = await ask(http, served.url)
    error = (await response.json())["error"]
    assert (response.status, error["code"]) == (503, "model_price_unknown")
    assert all(name in error["message"] for name in ("'m'", "'remote'", "budget.prices"))


async def test_a_low_budget_degrades_and_says_so() -> None:
    async with simulating() as there, aiohttp.ClientSession() as http:
        low = document(there, "0.003", cache={"ttlSeconds": 600})
        low["routes"].append({"name": "low", "chain": [{"provider": "remote", "model": "cheap"}]})
        low["budget"]["prices"].append({"provider": "remote", "model": "cheap", **PRICE})
        low["budget"] |= {"warnAt": 1, "degradeAt": 1, "degradeRoute": "low"}
        async with serving.serving(low) as served:
            first = await ask(http, served.url)
            assert receipts.DEGRADED not in first.headers
            second = await ask(http, served.url, temperature=0.5)
            assert second.headers[receipts.BUDGET] == "degraded"
            assert second.headers[receipts.DEGRADED] == "cheaper-model"
            streamed = await ask(http, served.url, temperature=0.6, stream=True)
            assert streamed.headers[receipts.DEGRADED] == "cheaper-model"
            # what a cheaper model said is nobody else's answer; what the own one said is free
            again = await ask(http, served.url, temperature=0.5)
            assert again.headers[receipts.CACHE] == "miss"
            known = await ask(http, served.url)
            assert (known.headers[receipts.CACHE], known.headers[receipts.COST]) == ("hit", "0")
            counted = 'agent_degraded_answers_total{level="cheaper-model"} 3.0'
            assert counted in await served.metrics()
        asked = (await there.counts())["byModel"]
    assert {model: counts["completed"] for model, counts in asked.items()} == {"m": 1, "cheap": 3}


async def test_with_sqlite_what_was_spent_outlives_the_process(tmp_path: Path) -> None:
    async with simulating() as there, aiohttp.ClientSession() as http:
        kept = document(there, "1", sessions={"store": "SQLite", "path": str(tmp_path / "s.db")})
        async with serving.serving(kept) as served:
            cost = (await ask(http, served.url)).headers[receipts.COST]
        async with serving.serving(kept) as served:
            assert f'agent_budget_usd{{part="spent"}} {float(cost)}' in await served.metrics()


@pytest.mark.parametrize(
    ("fault", "plain"),
    [
        *((WHOLE[name], True) for name in ("500", "hang", "quota", "malformed", "reset")),
        (MIDWAY["reset"], False),
    ],
    ids=["500", "hang", "quota", "malformed", "reset", "reset midway"],
)
async def test_in_an_outage_each_answer_is_charged_exactly_once(
    fault: dict[str, Any], plain: bool, tmp_path: Path
) -> None:
    async with simulating(rules=[outages.rule(fault)]) as there:
        asked = outages.config(there.url, tmp_path, "OpenAI", "Anthropic")
        asked["budget"] = outages.BUDGET
        async with serving.serving(asked) as served:
            told = await outages.load(served.url, 0.6, per_second=50, plain=plain)
            text = await charges.when_settled(served.metrics)
        billed = charges.billed(await there.counts())
    assert told.answered > 0
    assert charges.of(text, 'agent_budget_usd{part="reserved"}') == 0
    # the ledger has what was charged, no more and no less
    assert charges.settled(text) == charges.of(text, "agent_cost_usd_total{")
    assert charges.reported(text) == billed > 0
