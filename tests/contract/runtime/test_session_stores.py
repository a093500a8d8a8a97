"""What every session store promises (memory/base.py), asked of each of them."""

import asyncio
import os
import sqlite3
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from agent_runtime.memory.base import Retention, SessionStore, StoreFull, StoreUnavailable
from agent_runtime.memory.in_process import MemoryStore
from agent_runtime.memory.postgres import PostgresSessions
from agent_runtime.memory.postgres_schema import prepare
from agent_runtime.memory.redis import RedisSessions
from agent_runtime.memory.sqlite import open_store
from agent_runtime.secret_files import SecretFile
from agent_runtime.stores.postgres import Postgres, PostgresServer
from agent_runtime.stores.redis import Redis, RedisServer
from tests.contract.runtime.servers import Server, postgres_server, redis_server


class FakeTime:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


Opener = Callable[[Retention], Awaitable[SessionStore]]


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime()


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with postgres_server() as server:
        yield server


Kind = Callable[[Retention], AbstractAsyncContextManager[SessionStore]]


@pytest.fixture(params=["Memory", "SQLite", "Redis", "Postgres"])
def kind(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeTime) -> Kind:
    """Return what opens a store of one kind; servers are started for those who need them."""
    scope = f"-/tests/{uuid.uuid4().hex}"
    match request.param:
        case "Memory":
            return lambda kept: closing(MemoryStore(kept, clock=clock))
        case "SQLite":
            return lambda kept: sqlite(tmp_path / "s.db", kept, clock)
        case "Redis":
            server = request.getfixturevalue("redis")
            return lambda kept: redis_sessions(server, scope, kept, clock)
        case _:
            server = request.getfixturevalue("postgres")
            return lambda kept: postgres_sessions(server, scope, kept, clock)


@asynccontextmanager
async def closing(store: SessionStore) -> AsyncIterator[SessionStore]:
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def sqlite(file: Path, kept: Retention, clock: FakeTime) -> AsyncIterator[SessionStore]:
    async with closing(await open_store(file, kept, clock=clock)) as store:
        yield store


@asynccontextmanager
async def redis_sessions(
    server: Server, scope: str, kept: Retention, clock: Callable[[], float] | None
) -> AsyncIterator[SessionStore]:
    client = Redis(RedisServer("127.0.0.1", server.port))
    client.start()
    async with closing(RedisSessions(client, scope, kept, clock=clock)) as store:
        yield store
    await client.close()


@asynccontextmanager
async def postgres_sessions(
    server: Server, scope: str, kept: Retention, clock: Callable[[], float] | None
) -> AsyncIterator[SessionStore]:
    place = SecretFile(server.password_file, "a file")
    where = PostgresServer("127.0.0.1", server.port, "postgres", "agents", password=place)
    client = Postgres(where, prepare=prepare)
    client.start()
    async with closing(PostgresSessions(client, scope, kept, clock=clock)) as store:
        yield store
    await client.close()


@pytest.fixture
async def opener(kind: Kind) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as opened:

        async def make(retention: Retention) -> SessionStore:
            return await opened.enter_async_context(kind(retention))

        with blockbuster_ctx():  # no store may keep the event loop waiting
            yield make


async def test_an_unknown_session_has_no_turns(opener: Opener) -> None:
    store = await opener(Retention(60, 10))
    assert (await store.load("a"), await store.count()) == ([], 0)


async def test_turns_come_back_oldest_first(opener: Opener) -> None:
    store = await opener(Retention(60, 10))
    for turn in (b"1", b"2", b"3"):
        await store.append("a", turn)
    assert (await store.load("a"), await store.count()) == ([b"1", b"2", b"3"], 1)


async def test_no_session_sees_another_s_turns(opener: Opener) -> None:
    store = await opener(Retention(60, 10))
    await store.append("a", b"1")
    await store.append("ab", b"2")
    await store.append("A", b"3")
    assert [await store.load(key) for key in ("a", "ab", "A")] == [[b"1"], [b"2"], [b"3"]]


async def test_only_the_newest_turns_are_kept(opener: Opener) -> None:
    store = await opener(Retention(60, 2))
    for turn in (b"1", b"2", b"3", b"4"):
        await store.append("a", turn)
    assert await store.load("a") == [b"3", b"4"]


async def test_a_large_session_keeps_its_newest_turns_within_a_megabyte(opener: Opener) -> None:
    store = await opener(Retention(60, 10))
    turns = [bytes([digit]) * 400_000 for digit in b"123"]
    for turn in turns:
        await store.append("a", turn)
    assert await store.load("a") == turns[1:]


async def test_a_session_expires_after_its_newest_turn(opener: Opener, clock: FakeTime) -> None:
    store = await opener(Retention(60, 10))
    await store.append("a", b"1")
    clock.now += 59
    await store.append("a", b"2")
    clock.now += 59
    assert await store.load("a") == [b"1", b"2"]
    clock.now += 1
    assert (await store.load("a"), await store.count()) == ([], 0)


async def test_an_expired_session_begins_anew(opener: Opener, clock: FakeTime) -> None:
    store = await opener(Retention(60, 10))
    await store.append("a", b"1")
    clock.now += 60
    await store.append("a", b"2")
    assert (await store.load("a"), await store.count()) == ([b"2"], 1)


async def test_reading_does_not_prolong_a_session(opener: Opener, clock: FakeTime) -> None:
    store = await opener(Retention(60, 10))
    await store.append("a", b"1")
    clock.now += 59
    await store.load("a")
    clock.now += 1
    assert await store.load("a") == []


async def test_a_full_store_refuses_new_sessions_and_keeps_what_it_has(opener: Opener) -> None:
    store = await opener(Retention(60, 10, max_sessions=2))
    await store.append("a", b"1")
    await store.append("b", b"1")
    with pytest.raises(StoreFull):
        await store.append("c", b"1")
    await store.append("a", b"2")
    assert [await store.load(key) for key in "abc"] == [[b"1", b"2"], [b"1"], []]


async def test_expired_sessions_make_room(opener: Opener, clock: FakeTime) -> None:
    store = await opener(Retention(60, 10, max_sessions=1, max_bytes=10))
    await store.append("a", b"1" * 10)
    clock.now += 60
    await store.append("b", b"2" * 10)
    assert await store.load("b") == [b"2" * 10]


async def test_all_sessions_together_are_bounded_in_bytes(opener: Opener) -> None:
    store = await opener(Retention(60, 1, max_bytes=10))
    await store.append("a", b"1" * 6)
    with pytest.raises(StoreFull):
        await store.append("b", b"2" * 5)
    await store.append("a", b"3" * 10)  # replaces the six bytes of its own
    assert (await store.load("a"), await store.load("b")) == ([b"3" * 10], [])


async def test_concurrent_turns_of_many_sessions_are_all_kept(opener: Opener) -> None:
    store = await opener(Retention(60, 10))
    keys = [f"s{number}" for number in range(300)]
    await asyncio.gather(*(store.append(key, key.encode()) for key in keys))
    found = await asyncio.gather(*(store.load(key) for key in keys))
    assert (found, await store.count()) == ([[key.encode()] for key in keys], 300)


async def test_one_refused_turn_does_not_harm_those_beside_it(opener: Opener) -> None:
    store = await opener(Retention(60, 10, max_sessions=2))
    outcomes = await asyncio.gather(
        *(store.append(key, b"1") for key in ("a", "b", "c", "a")), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        type(None),
        StoreFull,
        type(None),
    ]
    assert await store.load("a") == [b"1", b"1"]


async def test_sqlite_remembers_after_closing_and_forgets_what_expired_meanwhile(
    tmp_path: Path, clock: FakeTime
) -> None:
    file, retention = tmp_path / "deep" / "s.db", Retention(60, 10)
    for expected in ([], [b"1"], [b"1", b"1"]):
        store = await open_store(file, retention, clock=clock)
        assert await store.load("a") == expected
        await store.append("a", b"1")
        await store.close()
    clock.now += 60
    store = await open_store(file, retention, clock=clock)
    assert await store.load("a") == []
    await store.close()


async def test_sqlite_files_are_private(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "s.db", Retention(60, 10))
    await store.append("a", b"1")
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in os.listdir(tmp_path)}
    await store.close()
    assert modes == {"s.db": 0o600, "s.db-wal": 0o600, "s.db-shm": 0o600}


async def test_sqlite_commits_reach_the_disk_before_they_are_acknowledged(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "s.db", Retention(60, 10))
    await store.append("a", b"1")
    with sqlite3.connect(tmp_path / "s.db") as other:  # what a process after kill -9 would read
        (turns,) = other.execute("SELECT count(*) FROM turns").fetchone()
        (mode,) = other.execute("PRAGMA journal_mode").fetchone()
    other.close()
    await store.close()
    assert (turns, mode) == (1, "wal")


@pytest.mark.parametrize("content", [b"this is no database" * 100, None])
async def test_a_file_that_cannot_be_a_store_is_told_by_name(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "s.db"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(StoreUnavailable, match=r"s\.db"):
        await open_store(file, Retention(60, 10))


async def test_a_file_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s.db") as newer:
        newer.execute("PRAGMA user_version=9")
    newer.close()
    with pytest.raises(StoreUnavailable, match="newer version"):
        await open_store(tmp_path / "s.db", Retention(60, 10))


async def test_a_broken_disk_fails_every_turn_of_the_batch_and_heals(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "s.db", Retention(60, 10))
    with sqlite3.connect(tmp_path / "s.db") as vandal:
        vandal.execute("ALTER TABLE turns RENAME TO lost")
    outcomes = await asyncio.gather(
        *(store.append(key, b"1") for key in "abc"), return_exceptions=True
    )
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    vandal.execute("ALTER TABLE lost RENAME TO turns")
    vandal.close()
    await store.append("a", b"2")
    assert await store.load("a") == [b"2"]
    await store.close()


async def test_an_unforeseen_fault_is_told_and_leaves_the_store_working(tmp_path: Path) -> None:
    moments = iter([ZeroDivisionError("a secret")])

    def clock() -> float:
        if fault := next(moments, None):
            raise fault
        return 0.0

    store = await open_store(tmp_path / "s.db", Retention(60, 10), clock=clock)
    async with asyncio.timeout(10):
        with pytest.raises(StoreUnavailable, match="ZeroDivisionError"):
            await store.append("a", b"1")
        await store.append("a", b"2")
        assert await store.load("a") == [b"2"]
        await store.close()
