"""Sessions that replicas share: seen by all of them, safe from kill -9, and no one's downfall."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from tests.contract.runtime.servers import Server, postgres_server, redis_server, stores_of
from tests.contract.runtime.serving import Served, config, process, serving

NO_SESSION = "session_store_unavailable"


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    with redis_server(password="sesame") as server:
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["Redis", "Postgres"])
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(request: pytest.FixtureRequest, store: str) -> Iterator[Server]:
    running: Server = request.getfixturevalue(store.lower())
    yield running
    running.kill()  # whatever a test has left it in
    running.start()


def document(store: str, server: Server, system: str, **sessions: Any) -> dict[str, Any]:
    return config(
        script='default: "turn {turn}"',
        contract="v1.1",
        system=system,
        sessions={"store": store, **sessions},
        stores=stores_of(**{store.lower(): server}),
    )


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def said(answer: httpx.Response) -> str:
    return str(answer.json()["choices"][0]["message"]["content"])


def test_replicas_see_each_other_s_turns(store: str, server: Server, tmp_path: Path) -> None:
    wanted = document(store, server, "replicas")
    headers = {"X-Session-Id": "s-1"}
    with process(wanted, tmp_path) as one, process(wanted, tmp_path) as other:
        answers = [
            httpx.post(f"{url}/v1/chat/completions", json=ask("hello"), headers=headers)
            for url in (one.url, other.url, one.url, one.url, other.url)
        ]
    assert [said(answer) for answer in answers] == [f"turn {turn}" for turn in range(1, 6)]


async def post(
    http: aiohttp.ClientSession, runtime: Served, *, session: bool = True
) -> tuple[int, str | None]:
    """Return status and error code of one request."""
    headers = {"X-Session-Id": "s-1"} if session else {}
    url = f"{runtime.url}/v1/chat/completions"
    async with http.post(url, json=ask("hello"), headers=headers) as response:
        body = await response.json()
        return response.status, body["error"]["code"] if "error" in body else None


async def status(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as response:
        return response.status


async def healed(http: aiohttp.ClientSession, runtime: Served) -> bool:
    """Return whether sessions work again within a few seconds."""
    for _ in range(100):
        if await post(http, runtime) == (200, None):
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.mark.parametrize("disaster", ["kill", "freeze"])
async def test_a_store_that_is_away_costs_only_the_sessions(
    store: str, server: Server, disaster: str
) -> None:
    up = f'agent_store_up{{store="{store.lower()}"}}'
    async with (
        serving(document(store, server, f"away-{disaster}")) as runtime,
        aiohttp.ClientSession() as http,
    ):
        assert await post(http, runtime) == (200, None)
        assert f"{up} 1.0" in await runtime.metrics()
        await asyncio.to_thread(getattr(server, disaster))
        for most_s in (4.5, 1.5, 0.2):  # the first finds out; then it is known
            began = time.monotonic()
            assert await post(http, runtime) == (503, NO_SESSION)
            assert time.monotonic() - began < most_s
        assert await post(http, runtime, session=False) == (200, None)
        assert [await status(http, runtime.url + path) for path in ("/ready", "/health")] == [
            200,
            200,
        ]
        assert f"{up} 0.0" in await runtime.metrics()
        await asyncio.to_thread(server.start if disaster == "kill" else server.thaw)
        assert await healed(http, runtime)
        assert f"{up} 1.0" in await runtime.metrics()


async def test_a_runtime_starts_without_its_store_and_uses_it_when_it_comes(
    store: str, server: Server
) -> None:
    server.kill()
    async with (
        serving(document(store, server, "later")) as runtime,
        aiohttp.ClientSession() as http,
    ):
        assert await status(http, f"{runtime.url}/ready") == 200
        assert await post(http, runtime, session=False) == (200, None)
        assert await post(http, runtime) == (503, NO_SESSION)
        await asyncio.to_thread(server.start)
        assert await healed(http, runtime)
