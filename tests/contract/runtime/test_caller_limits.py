"""How often callers may ask: counted by all pods together, on a real Redis, and told to clients."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from openai import OpenAI

from agent_runtime.guard.quota.rates import Admitted, Rate, Scope, Subject, Verdict
from agent_runtime.guard.quota.shared import Shared, admitting
from agent_runtime.guard.quota.window import Alone
from agent_runtime.stores.redis import Redis, RedisServer
from tests.contract.runtime.servers import Server, redis_server, stores_of
from tests.contract.runtime.serving import config, process, serving

NOON = 1_800_014_400.0
ASK = {"messages": [{"role": "user", "content": "hello"}]}
CLOCK = "{redis.call('GET', 'second'), tonumber(redis.call('GET', 'microsecond'))}"


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with redis_server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    yield running
    running.kill()  # whatever a test has left it in
    running.start()


def document(server: Server, system: str, **limits: Any) -> dict[str, Any]:
    return config(
        script='default: "hello"',
        contract="v1.1",
        system=system,
        guard={"limits": limits},
        stores=stores_of(redis=server),
    )


async def outcomes(urls: list[str], count: int) -> Counter[int]:
    """Ask so many times at once, at all of them in turn; returns the statuses."""

    async def one(http: aiohttp.ClientSession, url: str) -> int:
        async with http.post(f"{url}/v1/chat/completions", json=ASK) as answer:
            return answer.status

    async with aiohttp.ClientSession() as http:
        asked = (one(http, urls[number % len(urls)]) for number in range(count))
        return Counter(await asyncio.gather(*asked))


async def test_pods_together_admit_what_one_limit_allows(server: Server, tmp_path: Path) -> None:
    wanted = document(server, "together", perAgent={"requestsPerMinute": 25})
    with process(wanted, tmp_path) as one, process(wanted, tmp_path) as other:
        assert await outcomes([one.url, other.url], 80) == {200: 25, 429: 55}


async def test_without_redis_each_pod_counts_for_itself_and_says_so(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = document(server, "alone", perAgent={"requestsPerMinute": 10})
    async with serving(wanted) as one, serving(wanted) as other:
        assert await outcomes([one.url, other.url], 8) == {200: 8}
        server.kill()
        assert await outcomes([one.url], 10) == {200: 6, 429: 4}  # it had admitted 4 itself
        assert "agent_limits_alone 1.0" in await one.metrics()
        assert caplog.text.count("limits are kept by each pod for itself") == 1
        server.start()
        # What Redis knew before counts again: 8, and the 2 that are left go to whoever asks first.
        async with asyncio.timeout(15):
            while "agent_limits_alone 1.0" in await other.metrics() + await one.metrics():
                await outcomes([one.url, other.url], 2)
                await asyncio.sleep(0.2)
        assert set(await outcomes([one.url, other.url], 4)) == {429}


async def test_the_official_client_is_told_what_is_left_and_when_to_come_again(
    server: Server, tmp_path: Path
) -> None:
    wanted = document(server, "told", perAgent={"requestsPerMinute": 2})
    with process(wanted, tmp_path) as served:
        client = OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)
        messages: Any = ASK["messages"]
        first = client.chat.completions.with_raw_response.create(model="front", messages=messages)
        stream = client.chat.completions.with_raw_response.create(
            model="front", messages=messages, stream=True
        )
        left = [each.headers["x-ratelimit-remaining-requests"] for each in (first, stream)]
        with pytest.raises(openai.RateLimitError) as caught:
            client.responses.create(model="front", input="hello")

    assert left == ["1", "0"]
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert caught.value.code == "rate_limit_exceeded"
    assert "this agent has 2 requests per minute" in caught.value.message
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60


class Pods:
    """Several pods' counters over one Redis, and one that counts all by itself; same clock."""

    def __init__(self, redis: Redis, count: int) -> None:
        self.now = NOON
        self._redis = redis
        self._pods = [
            Shared(redis, "limits", self._alone(), changed=lambda _: None, script=admitting(CLOCK))
            for _ in range(count)
        ]
        self._model = self._alone()

    def _alone(self) -> Alone:
        return Alone(clock=lambda: self.now, utc=lambda: self.now)

    async def ask(self, *subjects: Subject) -> tuple[Verdict, Verdict]:
        await self._redis.command("SET", "second", int(self.now))
        await self._redis.command("SET", "microsecond", round(self.now % 1 * 1e6))
        return await random.choice(self._pods).admit(subjects), self._model.judge(subjects)  # noqa: S311


@pytest.mark.parametrize("seed", range(5))
async def test_redis_and_a_process_alone_come_to_the_same_verdicts(
    running: Server, seed: int
) -> None:
    """Whatever the arrivals; and so never more than the limit in any 60 s, or in a day."""
    random.seed(seed)
    redis = Redis(RedisServer("127.0.0.1", running.port))
    redis.start()
    try:
        await redis.command("FLUSHALL")
        pods = Pods(redis, 3)
        ann = Subject(Scope.KEY, "ann", Rate(per_minute=7))
        acme = Subject(Scope.TENANT, "acme", Rate(per_minute=12, per_day=60))
        admitted: list[float] = []
        for _ in range(300):
            pods.now = round(pods.now + random.choice((0, 0, 0, 0.4, 3.0, 29.5, 61.0)), 3)  # noqa: S311
            subjects = random.choice(((ann, acme), (acme,)))  # noqa: S311
            said, expected = await pods.ask(*subjects)
            assert _rough(said) == _rough(expected)
            if isinstance(said, Admitted):
                admitted.append(pods.now)
        assert len(admitted) >= 60
        for end in admitted:
            assert sum(end - 60 < at <= end for at in admitted) <= 12
    finally:
        await redis.close()


def _rough(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict with its waits in tenths of a second: Redis counts in milliseconds."""
    fields = {name: getattr(verdict, name) for name in verdict.__slots__}
    return {k: round(v, 1) if isinstance(v, float) else v for k, v in fields.items()}
