"""1,000 turns, with kill -9 of runtimes and stores among them: what was acknowledged is there."""

import asyncio
import contextlib
import itertools
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from agent_runtime.memory.base import Retention, SessionStore
from agent_runtime.memory.postgres import PostgresSessions
from agent_runtime.memory.postgres_schema import prepare
from agent_runtime.memory.redis import RedisSessions
from agent_runtime.memory.sessions import session_key
from agent_runtime.memory.sqlite import open_store
from agent_runtime.secret_files import SecretFile
from agent_runtime.stores.postgres import Postgres, PostgresServer
from agent_runtime.stores.redis import Redis, RedisServer
from tests.contract.runtime.servers import Server, postgres_server, redis_server, stores_of
from tests.contract.runtime.serving import config, process

SESSIONS = 8
PATIENCE_SECONDS = 90.0


@dataclass
class Tally:
    """What clients were told."""

    wanted: int
    acknowledged: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    refused: int = 0

    @property
    def count(self) -> int:
        return sum(map(len, self.acknowledged.values()))


class Replicas:
    """Runtimes on one store; one that was killed comes back on its port."""

    def __init__(self, document: dict[str, Any], folder: Path, count: int) -> None:
        self._stack = contextlib.ExitStack()
        self._document, self._folder = document, folder
        self.running = [
            self._stack.enter_context(process(document, self._made(number)))
            for number in range(count)
        ]

    def kill_and_start(self, number: int) -> None:
        self.running[number].kill()
        self.running[number] = self._stack.enter_context(
            process(self._document, self._made(number))
        )

    def url(self, number: int) -> str:
        return f"{self.running[number % len(self.running)].url}/v1/chat/completions"

    def close(self) -> None:
        self._stack.close()

    def _made(self, number: int) -> Path:
        folder = self._folder / str(number)
        folder.mkdir(exist_ok=True)
        return folder


async def talk(session: str, replicas: Replicas, tally: Tally) -> None:
    """Ask turn after turn, each at another replica, until enough were acknowledged."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        for number in itertools.count():
            if tally.count >= tally.wanted:
                return
            text = f"{session} asks {number}"
            asked = {"messages": [{"role": "user", "content": text}]}
            headers = {"X-Session-Id": session}
            try:
                async with http.post(replicas.url(number), json=asked, headers=headers) as answer:
                    kept = answer.status == 200
                    await answer.read()
            except (aiohttp.ClientError, TimeoutError):
                kept = False
            if kept:
                tally.acknowledged[session].append(text)
            else:
                tally.refused += 1
                await asyncio.sleep(0.02)


async def strike(disasters: list[Callable[[], None]], tally: Tally) -> None:
    """Let one disaster after the other happen, evenly over the turns."""
    for number, disaster in enumerate(disasters, start=1):
        while tally.count < tally.wanted * number // (len(disasters) + 1):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await asyncio.to_thread(disaster)


async def lost(store: SessionStore, tally: Tally) -> list[str]:
    """Return the acknowledged turns that the store does not hold, or not in their order."""
    missing = []
    for session, texts in tally.acknowledged.items():
        turns = await store.load(session_key("shop", "support", "front", session))
        told = iter([json.loads(turn)[0]["content"] for turn in turns])
        missing += [text for text in texts if text not in told]  # each after the one before
    return missing


async def converse(
    document: dict[str, Any], folder: Path, tally: Tally, *, replicas: int, servers: list[Server]
) -> None:
    """Talk until enough turns were acknowledged, while everything is killed once or twice."""
    running = await asyncio.to_thread(Replicas, document, folder, replicas)
    disasters: list[Callable[[], None]] = [
        partial(running.kill_and_start, 0),
        *(partial(again, server) for server in servers),
        partial(running.kill_and_start, replicas - 1),
        *(partial(again, server) for server in servers),
    ]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            group.create_task(strike(disasters, tally))
            for number in range(SESSIONS):
                group.create_task(talk(f"s{number}", running, tally))
    finally:
        await asyncio.to_thread(running.close)


def again(server: Server) -> None:
    server.kill()
    server.start()


def document(store: str, **more: Any) -> dict[str, Any]:
    sessions = {"store": store, "maxTurns": 1000, **more.pop("sessions", {})}
    return config(contract="v1.1", sessions=sessions, **more)


KEPT = Retention(86_400, 1000)


async def test_sqlite_loses_none_of_200_turns(tmp_path: Path) -> None:
    file, tally = tmp_path / "s.db", Tally(200)
    asked = document("SQLite", sessions={"path": str(file)})
    await converse(asked, tmp_path, tally, replicas=1, servers=[])
    store = await open_store(file, KEPT)
    assert await lost(store, tally) == []
    await store.close()
    assert tally.refused > 0  # the kills were felt


async def test_redis_loses_none_of_400_turns(tmp_path: Path) -> None:
    tally = Tally(400)
    with redis_server() as server:
        asked = document("Redis", stores=stores_of(redis=server))
        await converse(asked, tmp_path, tally, replicas=2, servers=[server])
        client = Redis(RedisServer("127.0.0.1", server.port))
        client.start()
        assert await lost(RedisSessions(client, "-/shop/support", KEPT), tally) == []
        await client.close()
    assert tally.refused > 0


async def test_postgres_loses_none_of_400_turns(tmp_path: Path) -> None:
    tally = Tally(400)
    with postgres_server() as server:
        asked = document("Postgres", stores=stores_of(postgres=server))
        await converse(asked, tmp_path, tally, replicas=2, servers=[server])
        password = SecretFile(server.password_file, "a file")
        where = PostgresServer("127.0.0.1", server.port, "postgres", "agents", password=password)
        client = Postgres(where, prepare=prepare)
        client.start()
        assert await lost(PostgresSessions(client, "-/shop/support", KEPT), tally) == []
        await client.close()
    assert tally.refused > 0
