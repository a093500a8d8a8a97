"""Limits that pods share, on a real Redis; and what a client notices of a limit."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from agent_runtime.providers import shared_limits
from agent_runtime.providers.limits import LimitReached, Limits, LocalLimiter, Turn
from agent_runtime.providers.shared_limits import SharedLimiter
from tests.contract.runtime import serving, simulated
from tests.contract.runtime.servers import Server, connected, redis_server

KEY = "-/shop/support/provider-limits/remote"


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with redis_server() as server:
        yield server


@pytest.fixture
async def server(running: Server) -> Server:
    """A server that knows nothing."""
    async with connected(running) as redis:
        await redis.command("FLUSHALL")
    return running


@asynccontextmanager
async def pods(server: Server, count: int, **limits: int) -> AsyncIterator[list[SharedLimiter]]:
    """Return the limiter of each of so many pods."""
    kept = Limits(**limits)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(server)) for _ in range(count)]
        yield [SharedLimiter(redis, KEY, kept, LocalLimiter(kept)) for redis in clients]


async def taken(pod: SharedLimiter, times: int, tokens: int = 0) -> list[Turn]:
    return await asyncio.gather(*(pod.turn(tokens, 0.0) for _ in range(times)))


async def refused(pod: SharedLimiter, tokens: int = 0, within_s: float = 0.0) -> float:
    with pytest.raises(LimitReached) as caught:
        await pod.turn(tokens, within_s)
    return caught.value.retry_after_s


async def test_pods_share_a_rate_and_wait_for_their_turn(server: Server) -> None:
    async with pods(server, 2, requests_per_minute=60) as (one, other):
        clock = asyncio.get_running_loop().time
        began = clock()
        await asyncio.gather(taken(one, 40), taken(other, 20))
        await asyncio.gather(*(pod.turn(0, 60.0) for pod in (one, other)))
        assert clock() - began >= 1.99  # sixty at once, and then one a second
        assert 0 < await refused(one) <= 1


async def test_tokens_are_corrected_to_what_was_used(server: Server) -> None:
    async with pods(server, 2, tokens_per_minute=6000) as (one, other):
        (turn,) = await taken(one, 1, tokens=6000)
        assert await refused(other, tokens=3000) == pytest.approx(30, abs=1)
        await turn.settle(1000)
        await taken(other, 1, tokens=5000)
        assert await refused(one, tokens=600) == pytest.approx(6, abs=1)


async def test_pods_together_never_hold_more_places_than_there_are(server: Server) -> None:
    most = held = 0

    async def work(pod: SharedLimiter) -> None:
        nonlocal most, held
        turn = await pod.turn(0, 30.0)
        held += 1
        most = max(most, held)
        await asyncio.sleep(0.01)
        held -= 1
        await turn.end()

    async with pods(server, 3, concurrency=4) as found:
        await asyncio.gather(*(work(pod) for pod in found for _ in range(6)))
        await taken(found[0], 4)
        assert await refused(found[1], within_s=0.3) < 1
    assert most == 4


async def test_a_place_is_kept_while_its_pod_lives_and_falls_free_when_it_is_killed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_limits, "LEASE_S", 2.0)
    monkeypatch.setattr(shared_limits, "RENEW_S", 0.2)
    async with pods(server, 2, concurrency=1) as (one, other):
        keeper = asyncio.create_task(one.keep())
        await taken(one, 1)
        await refused(other, within_s=3.0)
        keeper.cancel()  # as kill -9 would
        await (await other.turn(0, 15.0)).end()


async def test_who_gives_up_leaves_nothing_behind(server: Server) -> None:
    async with pods(server, 2, concurrency=1, requests_per_minute=60) as (one, other):
        (turn,) = await taken(one, 1)
        waiting = [asyncio.create_task(other.turn(0, 30.0)) for _ in range(40)]
        await asyncio.sleep(0.3)
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)
        await turn.end()
        for _ in range(40):
            await (await one.turn(0, 0.0)).end()


async def test_while_redis_is_away_each_pod_keeps_the_limit_for_itself() -> None:
    with redis_server() as server:
        async with pods(server, 2, requests_per_minute=3, concurrency=9) as (one, other):
            turns = await taken(one, 3)
            await refused(other)
            server.kill()
            await turns[0].settle(5)
            await turns[0].end()
            for pod in (one, other):
                await taken(pod, 3)
                await refused(pod)


def document(sim_url: str, **limits: int) -> dict[str, Any]:
    config = serving.openai_config(f"{sim_url}/v1", limits=limits)
    config["providers"].append({"name": "canned", "type": "Scripted"})
    config["routes"][0]["chain"].append({"provider": "canned"})
    return config | {"contract": "v1.1"}


@asynccontextmanager
async def client(config: dict[str, Any]) -> AsyncIterator[tuple[AsyncOpenAI, serving.Served]]:
    async with (
        serving.serving(config) as served,
        AsyncOpenAI(base_url=f"{served.url}/v1", api_key="unused", max_retries=0) as api,
    ):
        yield api, served


async def ask(api: AsyncOpenAI) -> str | None:
    found = await api.chat.completions.create(
        model="front", messages=[{"role": "user", "content": "hello"}]
    )
    return found.choices[0].message.content


async def test_two_replicas_ask_a_provider_no_more_often_than_its_limit_allows(
    server: Server,
) -> None:
    async with simulated.simulating(answers={"default": "real"}) as sim:
        config = document(sim.url, requestsPerMinute=5, concurrency=5)
        config["stores"] = {"redis": {"host": "127.0.0.1", "port": server.port}}
        async with client(config) as (one, served), client(config) as (other, _):
            said = await asyncio.gather(*(ask(api) for api in (one, other) for _ in range(5)))
            metrics = await served.metrics()
            counts = await sim.counts()
    assert said.count("real") == counts["requests"] == 5
    assert 'agent_provider_limited_total{provider="remote"} ' in metrics


async def test_without_redis_a_pod_keeps_its_limit_and_says_when_to_come_again() -> None:
    async with simulated.simulating() as sim:
        config = document(sim.url, tokensPerMinute=60)
        config["routes"][0]["chain"].pop()
        async with client(config) as (api, _):
            with pytest.raises(openai.RateLimitError) as caught:
                await asyncio.gather(*(ask(api) for _ in range(30)))
    assert caught.value.code == "rate_limit_exceeded"
    assert int(caught.value.response.headers["retry-after"]) >= 2
    assert "as often as its limits allow" in caught.value.message


async def test_a_stream_holds_its_place_to_its_end() -> None:
    slowly = {"default": "one two three", "latency": {"perTokenSeconds": 1.5}}
    async with (
        simulated.simulating(answers=slowly) as sim,
        client(document(sim.url, concurrency=1)) as (api, _),
    ):
        stream = await api.chat.completions.create(
            model="front", messages=[{"role": "user", "content": "hello"}], stream=True
        )
        await anext(stream)
        held = await ask(api)
        assert [piece async for piece in stream]
        await sim.order(answers={"default": "quickly"})
        assert await ask(api) == "quickly"
    assert held is not None
    assert "built-in script" in held
