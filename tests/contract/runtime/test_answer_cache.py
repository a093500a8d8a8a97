"""The answer cache with real processes, a real Redis and a simulated provider on real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.fernet import Fernet

from agent_runtime.app import receipts
from agent_runtime.cache import shared as sharing
from agent_runtime.guard import api_keys
from agent_runtime.guard.principal import Priority, Role
from agent_runtime.stores.redis import Redis, RedisServer
from tests.contract.runtime import serving
from tests.contract.runtime.servers import Server, redis_server, stores_of
from tests.contract.runtime.serving import config
from tests.contract.runtime.simulated import Simulated, simulating

MAIL, OTHER = "bob@example.com", "eve@example.org"
WITHIN_S = sharing.WITHIN_S
ECHO = {"default": "You are {message}"}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runtimes of this process wait for Redis while the machine is busy."""
    monkeypatch.setattr(sharing, "WITHIN_S", 5.0)


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
async def connected(server: Server) -> AsyncIterator[Redis]:
    redis = Redis(RedisServer("127.0.0.1", server.port))
    redis.start()
    try:
        yield redis
    finally:
        await redis.close()


async def held_by(server: Server) -> dict[bytes, bytes]:
    """Return all that Redis knows."""
    async with connected(server) as redis:
        names = await redis.command("KEYS", "*")
        return {name: await redis.command("GET", name) for name in names}


def caching(**more: Any) -> dict[str, Any]:
    """Return a config with a cache."""
    return config(contract="v1.1", cache={"ttlSeconds": 60, "maxEntries": 100}, **more)


def asking(simulated: Simulated, **more: Any) -> dict[str, Any]:
    """Return a config with a cache whose agent asks a simulated model that has a price."""
    endpoint = {"baseURL": f"{simulated.url}/v1", "timeoutSeconds": 5.0}
    return caching(
        routes=[{"name": "chat", "chain": [{"provider": "remote", "model": "gpt-4o-mini"}]}],
        providers=[{"name": "remote", "type": "OpenAI", "openAI": endpoint}],
        **more,
    )


@dataclass
class Answered:
    """An answer, and what its headers say."""

    text: str
    cache: str | None
    cost: str | None
    usage: dict[str, Any]


async def ask(
    url: str, text: str, headers: Mapping[str, str] | None = None, *, stream: bool = False
) -> Answered:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response,
    ):
        said = await response.text()
        assert response.status == 200, said
        found, usage = _of_stream(said) if stream else _of_whole(said)
        told = response.headers
        return Answered(found, told.get(receipts.CACHE), told.get(receipts.COST), usage)


def _of_whole(said: str) -> tuple[str, dict[str, Any]]:
    answer = json.loads(said)
    return answer["choices"][0]["message"]["content"], answer["usage"]


def _of_stream(said: str) -> tuple[str, dict[str, Any]]:
    assert said.endswith("data: [DONE]\n\n")
    events = [json.loads(event.removeprefix("data: ")) for event in said.split("\n\n")[:-2]]
    choices = [choice for event in events for choice in event["choices"]]
    assert choices[-1]["finish_reason"] == "stop"
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    (usage,) = [event["usage"] for event in events if event["usage"]]
    return text, usage


async def asked(simulated: Simulated) -> int:
    """Return how often the model was asked."""
    return int((await simulated.counts())["requests"])


async def test_pods_share_answers_within_a_tenant_and_never_beyond_it(
    server: Server, tmp_path: Path
) -> None:
    """I14, with two pods in processes of their own, and keys of two tenants."""
    made = {
        name: api_keys.make(name, tenant=tenant, roles=[Role.CHAT], priority=Priority.NORMAL)
        for name, tenant in (("ann", "acme"), ("bob", "acme"), ("eve", "umbrella"))
    }
    (tmp_path / "callers").write_text("\n".join(line for _, line in made.values()) + "\n")
    keys = {"type": "APIKey", "apiKeys": {"file": str(tmp_path / "callers")}}
    who = {name: {"authorization": f"Bearer {key}"} for name, (key, _) in made.items()}
    async with simulating(answers=ECHO) as simulated:
        document = asking(simulated, stores=stores_of(redis=server), guard={"auth": keys})
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        with (
            serving.process(document, tmp_path / "one") as one,
            serving.process(document, tmp_path / "two") as two,
        ):
            first = await ask(one.url, "q0", who["ann"])
            assert (first.text, first.cache) == ("You are q0", "miss")
            assert float(first.cost or 0) > 0
            again = await ask(one.url, "q0", who["bob"])
            assert (again.text, again.cache, again.cost) == ("You are q0", "hit", "0")
            questions = [f"q{number}" for number in range(1, 6)]
            for text in questions:
                assert (await ask(one.url, text, who["ann"])).cache == "miss"
            there = [await ask(two.url, text, who["bob"], stream=True) for text in questions]
            assert [answer.text for answer in there] == [f"You are {text}" for text in questions]
            shared = [answer for answer in there if answer.cache == "hit-shared"]
            assert shared  # most, or all: Redis has 10 ms, and the machine may be busy
            assert {answer.usage["cost_usd"] for answer in shared} == {"0"}
            before = await asked(simulated)
            assert before == 6 + len(there) - len(shared)
            eve = [await ask(pod.url, "q1", who["eve"]) for pod in (one, two)]
            eve.append(await ask(two.url, "q2", who["eve"]))
            assert [eve[0].cache, eve[2].cache] == ["miss", "miss"]
            misses = [answer for answer in eve if answer.cache == "miss"]
            assert await asked(simulated) == before + len(misses)


async def test_a_crowd_costs_one_call_and_is_charged_once(tmp_path: Path) -> None:
    async with simulating(answers=ECHO) as simulated:
        await simulated.order(
            answers=ECHO, rules=[{"fault": {"kind": "latency", "firstSeconds": 0.5}}]
        )
        async with serving.serving(asking(simulated), tmp_path) as served:
            found = await asyncio.gather(
                *(ask(served.url, "many", stream=number % 2 == 1) for number in range(40))
            )
            assert {answer.text for answer in found} == {"You are many"}
            outcomes = Counter(answer.cache for answer in found)
            assert outcomes["miss"] == await asked(simulated) == 1
            # who is late on a busy machine finds it in memory
            assert outcomes["hit-joined"] > 0
            assert outcomes["hit-joined"] + outcomes["hit"] == 39
            (paid,) = [each for each in found if each.cache == "miss"]
            cost = paid.cost or paid.usage["cost_usd"]
            text = await served.metrics()
            assert "agent_cache_entries 1.0" in text
            assert f'agent_tenant_cost_usd_total{{tenant="-"}} {float(cost)}' in text
            joined = 'agent_cache_hits_total{agent="front",level="flight"} '
            assert f"{joined}{float(outcomes['hit-joined'])}" in text
            assert f'direction="input"}} {float(paid.usage["prompt_tokens"])}' in text


async def test_streams_and_whole_answers_serve_each_other(tmp_path: Path) -> None:
    async with (
        simulating(answers=ECHO) as simulated,
        serving.serving(asking(simulated), tmp_path) as served,
    ):
        streamed = await ask(served.url, "first", stream=True)
        whole = await ask(served.url, "first")
        assert [(a.text, a.cache) for a in (streamed, whole)] == [
            ("You are first", "miss"),
            ("You are first", "hit"),
        ]
        assert whole.usage["total_tokens"] == streamed.usage["total_tokens"]
        assert whole.usage["prompt_tokens_details"] == {
            "cached_tokens": whole.usage["prompt_tokens"]
        }
        await ask(served.url, "second")
        again = await ask(served.url, "second", stream=True)
        assert (again.text, again.cache) == ("You are second", "hit")
        assert again.usage["cost_usd"] == "0"


async def test_a_caller_can_ask_for_a_fresh_answer_also_of_a_sibling(tmp_path: Path) -> None:
    research = caching(entry="research", agents=[{"name": "research", "route": "chat"}])
    async with serving.serving(research, tmp_path) as sibling:
        front = config(
            contract="v1.1", siblings=[{"name": "research", "url": sibling.url}], entry="research"
        )
        async with serving.serving(front, tmp_path) as entry:
            wants = ["", "max-age=1", "no-cache", "no-store"]
            headers = [{"cache-control": want} for want in wants]
            found = [(await ask(entry.url, "hello", each)).cache for each in headers]
            assert found == ["miss", "hit", "miss", "bypass"]


async def test_another_configuration_answers_anew(server: Server, tmp_path: Path) -> None:
    """What was answered by a former revision is none of the new one's."""
    found = []
    for script in ("default: old", "default: new"):
        document = caching(script=script, stores=stores_of(redis=server))
        for _ in range(2):  # pods
            async with serving.serving(document, tmp_path) as served:
                answer = await ask(served.url, "hello")
                found.append((answer.text, answer.cache))
    assert found == [("old", "miss"), ("old", "hit-shared"), ("new", "miss"), ("new", "hit-shared")]


@pytest.mark.parametrize("sealed", [False, True], ids=["readable", "sealed"])
async def test_redis_holds_nobodys_data_and_with_keys_nothing_readable(
    sealed: bool, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "pii").write_text("a key of many characters")
    (tmp_path / "fernet").write_bytes(Fernet.generate_key())
    kinds = [{"kind": "Email", "policy": "Mask", "restore": True}]
    guard: dict[str, Any] = {"pii": {"key": {"file": str(tmp_path / "pii")}, "kinds": kinds}}
    if sealed:
        guard["encryption"] = {"keys": {"file": str(tmp_path / "fernet")}}
    async with simulating(answers=ECHO) as simulated:
        document = asking(simulated, stores=stores_of(redis=server), guard=guard)
        async with serving.serving(document, tmp_path) as one:
            assert (await ask(one.url, MAIL)).text == f"You are {MAIL}"
        async with serving.serving(document, tmp_path) as two:
            other = await ask(two.url, OTHER)
            assert (other.text, other.cache) == (f"You are {OTHER}", "hit-shared")
    ((name, value),) = (await held_by(server)).items()
    assert name.startswith(b"-/shop/support/answers/")
    assert b"bob" not in name + value
    assert (b"You are <EMAIL_1>" in value) is not sealed


async def test_without_the_key_nothing_is_shared(server: Server, tmp_path: Path) -> None:
    guard = {"encryption": {"keys": {"file": str(tmp_path / "not-there")}}}
    document = caching(stores=stores_of(redis=server), guard=guard)
    async with serving.serving(document, tmp_path) as served:
        assert [(await ask(served.url, "hello")).cache for _ in range(2)] == ["miss", "hit"]
    assert await held_by(server) == {}


async def test_redis_forgets_by_itself(server: Server, tmp_path: Path) -> None:
    async with serving.serving(caching(stores=stores_of(redis=server)), tmp_path) as served:
        await ask(served.url, "hello")
    async with connected(server) as redis:
        (name,) = await redis.command("KEYS", "*")
        assert 50_000 < await redis.command("PTTL", name) <= 60_000


async def test_a_redis_that_hangs_or_is_gone_costs_nobody_more_than_moments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "WITHIN_S", WITHIN_S)
    with redis_server() as server:
        document = caching(stores=stores_of(redis=server))
        async with serving.serving(document, tmp_path) as served:
            await ask(served.url, "before")
            server.freeze()
            began = time.monotonic()
            assert (await ask(served.url, "hanging")).cache == "miss"
            assert time.monotonic() - began < 1.0  # two waits of 10 ms, on a busy machine
            server.kill()
            assert (await ask(served.url, "gone")).cache == "miss"
            assert (await ask(served.url, "before")).cache == "hit"
            lines = (await served.metrics()).splitlines()
            (away,) = [line for line in lines if line.startswith("agent_cache_unavailable_total")]
            assert float(away.split()[1]) >= 2
