"""The client of a PostgreSQL database and what it prepares there, on a real server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types
import pytest
from blockbuster import blockbuster_ctx

from agent_runtime.memory.base import Retention, StoreUnavailable
from agent_runtime.memory.postgres import PostgresSessions
from agent_runtime.memory.postgres_schema import prepare
from agent_runtime.secret_files import SecretFile
from agent_runtime.stores.postgres import Postgres, PostgresServer
from tests.contract.runtime.servers import Server, postgres_server

ORIGIN = "Secret 'stores', key 'postgres'"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres_server() as running:
        yield running


@asynccontextmanager
async def admin(server: Server, database: str = "postgres") -> AsyncIterator[Any]:
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user="agents", database=database, ssl=False,
        password=await asyncio.to_thread(server.password_file.read_text),
    )  # fmt: skip
    try:
        yield connection
    finally:
        await connection.close()


async def made(server: Server, database: str) -> None:
    async with admin(server) as connection:
        await connection.execute(f"CREATE DATABASE {database}")


@asynccontextmanager
async def client(
    server: Server, database: str, *, user: str = "agents", password: Path | None = None
) -> AsyncIterator[Postgres]:
    place = SecretFile(password or server.password_file, ORIGIN)
    where = PostgresServer("127.0.0.1", server.port, database, user, password=place)
    postgres = Postgres(where, prepare=prepare)
    postgres.start()
    try:
        with blockbuster_ctx():
            yield postgres
    finally:
        await postgres.close()


def sessions(postgres: Postgres) -> PostgresSessions:
    return PostgresSessions(postgres, "-/shop/support", Retention(60, 10))


async def test_many_that_come_at_once_make_the_tables_once(server: Server) -> None:
    await made(server, "together")
    async with client(server, "together") as a, client(server, "together") as b:
        stores = [sessions(a), sessions(b)]
        await asyncio.gather(*(store.append("s", b"1") for store in stores))
        assert await stores[0].load("s") == [b"1", b"1"]


async def test_a_schema_made_beforehand_needs_no_right_on_the_database(server: Server) -> None:
    await made(server, "strict")
    async with admin(server, "strict") as connection:
        await connection.execute("CREATE ROLE modest LOGIN PASSWORD 'a password'")
        await connection.execute("REVOKE ALL ON DATABASE strict FROM PUBLIC")
        await connection.execute("GRANT CONNECT ON DATABASE strict TO modest")
        await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    async with client(server, "strict", user="modest") as postgres:
        with pytest.raises(StoreUnavailable, match=r"InsufficientPrivilege \(42501\)"):
            await sessions(postgres).append("s", b"1")
        async with admin(server, "strict") as connection:
            await connection.execute("CREATE SCHEMA agentsystem AUTHORIZATION modest")
        await appended(postgres)


async def appended(postgres: Postgres) -> None:
    """Return when a turn was kept: the client looks again within a second."""
    for _ in range(100):
        try:
            await sessions(postgres).append("s", b"1")
        except StoreUnavailable:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("no turn was kept")


async def test_tables_of_a_newer_version_are_not_touched(server: Server) -> None:
    await made(server, "newer")
    async with admin(server, "newer") as connection:
        await prepare(connection)
        await connection.execute("UPDATE agentsystem.version SET schema = 9")
    async with client(server, "newer") as postgres:
        with pytest.raises(StoreUnavailable, match="newer version"):
            await sessions(postgres).append("s", b"1")


async def test_a_commit_waits_for_the_disk_where_the_database_would_not(server: Server) -> None:
    await made(server, "hasty")
    async with admin(server) as connection:
        await connection.execute("ALTER DATABASE hasty SET synchronous_commit = off")
    async with client(server, "hasty") as postgres:
        ((setting,),) = await postgres.fetch("SHOW synchronous_commit")
        assert setting == "on"


async def test_a_wrong_or_missing_password_is_told_by_its_place_and_corrected_without_a_restart(
    server: Server, tmp_path: Path
) -> None:
    await made(server, "locked")
    file = tmp_path / "password"
    async with client(server, "locked", password=file) as postgres:
        with pytest.raises(StoreUnavailable, match=f"put one in {ORIGIN}"):
            await sessions(postgres).load("s")
        await asyncio.to_thread(file.write_text, "wrong")
        await asyncio.sleep(1.2)
        with pytest.raises(StoreUnavailable, match=r"InvalidPassword \(28P01\)"):
            await sessions(postgres).load("s")
        await asyncio.to_thread(file.write_text, "a password")
        await appended(postgres)


async def test_an_error_is_told_without_the_values_in_it(server: Server) -> None:
    async with client(server, "postgres") as postgres:
        with pytest.raises(StoreUnavailable) as told:
            await postgres.fetch("SELECT $1::text::integer", "a secret value")
        assert str(told.value) == "PostgreSQL refused: InvalidTextRepresentation (22P02)"
        assert await postgres.fetch("SELECT 1") != []


async def test_a_waiter_that_gives_up_harms_nobody(server: Server) -> None:
    async with client(server, "postgres") as postgres:
        slow = asyncio.create_task(postgres.fetch("SELECT pg_sleep(1.5)"))
        await asyncio.sleep(0.1)
        slow.cancel()
        found = await asyncio.gather(*(postgres.fetch("SELECT 1") for _ in range(20)))
        assert [rows[0][0] for rows in found] == [1] * 20
