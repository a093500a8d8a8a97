"""The client of a Redis server, on a real server that is killed, frozen and locked."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from agent_runtime.secret_files import SecretFile
from agent_runtime.stores.base import StoreUnavailable
from agent_runtime.stores.redis import Redis, RedisServer, Script
from agent_runtime.stores.redis_link import RedisRefused
from tests.contract.runtime.servers import Server, redis_server

PASSWORD = "a password"


@pytest.fixture
def server() -> Iterator[Server]:
    with redis_server(password=PASSWORD) as running:
        yield running


class Ups:
    """What the client has said of its server, in order."""

    def __init__(self) -> None:
        self.said: list[bool] = []
        self._news = asyncio.Event()

    def hear(self, up: bool) -> None:
        self.said.append(up)
        self._news.set()

    async def reach(self, *states: bool) -> None:
        async with asyncio.timeout(10):
            while tuple(self.said) != states:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def client(server: Server, tmp_path: Path, *, ups: Ups | None = None) -> AsyncIterator[Redis]:
    file = tmp_path / "password"
    if not file.exists():
        file.write_text(PASSWORD + "\n")
    place = SecretFile(file, "Secret 'stores', key 'redis'")
    heard = ups if ups is not None else Ups()
    redis = Redis(RedisServer("127.0.0.1", server.port, password=place), changed=heard.hear)
    redis.start()
    try:
        with blockbuster_ctx():
            yield redis
    finally:
        await redis.close()


async def test_commands_side_by_side_each_get_their_own_reply(
    server: Server, tmp_path: Path
) -> None:
    async with client(server, tmp_path) as redis:
        replies = await asyncio.gather(
            *(redis.command("ECHO", str(number)) for number in range(500))
        )
        assert replies == [str(number).encode() for number in range(500)]


async def test_a_script_runs_whether_or_not_the_server_knows_it(
    server: Server, tmp_path: Path
) -> None:
    script = Script("return {KEYS[1], tonumber(ARGV[1]) + 1}")
    async with client(server, tmp_path) as redis:
        for _ in range(2):
            assert await redis.run(script, ["k"], [41]) == [b"k", 42]
        await redis.command("SCRIPT", "FLUSH")
        assert await redis.run(script, ["k"], [41]) == [b"k", 42]


async def test_an_error_is_told_by_its_code_and_harms_nobody_beside_it(
    server: Server, tmp_path: Path
) -> None:
    async with client(server, tmp_path) as redis:
        await redis.command("SET", "text", "a secret value")
        outcomes = await asyncio.gather(
            redis.command("LPUSH", "text", "x"), redis.command("PING"), return_exceptions=True
        )
    assert [str(outcome) for outcome in outcomes] == ["Redis refused: WRONGTYPE", "b'PONG'"]
    assert isinstance(outcomes[0], RedisRefused)


async def test_a_killed_server_is_reported_at_once_and_used_again_when_it_is_back(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agent_runtime.stores")
    ups = Ups()
    async with client(server, tmp_path, ups=ups) as redis:
        await redis.command("SET", "a", "1")
        await asyncio.to_thread(server.kill)
        await ups.reach(True, False)
        began = time.monotonic()
        for _ in range(50):
            with pytest.raises(StoreUnavailable):
                await redis.command("GET", "a")
        assert time.monotonic() - began < 2.0
        await asyncio.to_thread(server.start)
        await ups.reach(True, False, True)
        assert await redis.command("GET", "a") == b"1"
    assert [record.message for record in caplog.records] == [
        "store can be used", "store cannot be used", "store can be used",
    ]  # fmt: skip


async def test_a_frozen_server_keeps_nobody_waiting_for_long(
    server: Server, tmp_path: Path
) -> None:
    async with client(server, tmp_path) as redis:
        await redis.command("PING")
        await asyncio.to_thread(server.freeze)
        began = time.monotonic()
        outcomes = await asyncio.gather(
            *(redis.command("PING") for _ in range(20)), return_exceptions=True
        )
        assert time.monotonic() - began < 10.0
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        await asyncio.to_thread(server.thaw)
        assert await redis.command("PING") == b"PONG"


async def test_a_password_that_comes_later_is_used_without_a_restart(
    server: Server, tmp_path: Path
) -> None:
    file, ups = tmp_path / "password", Ups()
    file.write_text("")
    async with client(server, tmp_path, ups=ups) as redis:
        with pytest.raises(StoreUnavailable, match="put one in Secret 'stores', key 'redis'"):
            await redis.command("PING")
        await asyncio.to_thread(file.write_text, "a wrong one")
        await asyncio.sleep(0.2)
        assert ups.said == [False]
        await asyncio.to_thread(file.write_text, PASSWORD)
        await ups.reach(False, True)
        assert await redis.command("PING") == b"PONG"


async def test_a_server_that_is_no_redis_is_away_not_a_fault(tmp_path: Path) -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(talk, "127.0.0.1", 0)
    redis = Redis(RedisServer("127.0.0.1", other.sockets[0].getsockname()[1]))
    redis.start()
    with pytest.raises(StoreUnavailable, match="connection to Redis was lost"):
        await redis.command("PING")
    await redis.close()
    other.close()
