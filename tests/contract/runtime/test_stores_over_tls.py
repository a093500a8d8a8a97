"""TLS to the stores: whom the runtime believes to be its Redis or its PostgreSQL, on real servers.

An authority of one's own comes in as OpenSSL takes it, by `SSL_CERT_FILE` or in the image.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from agent_runtime.secret_files import SecretFile
from agent_runtime.stores.base import StoreUnavailable
from agent_runtime.stores.postgres import Postgres, PostgresServer
from agent_runtime.stores.redis import Redis, RedisServer
from tests import ports
from tests.contract.runtime import serving
from tests.contract.runtime.authority import Authority, Certificate
from tests.contract.runtime.servers import Server, postgres_server, redis_server

UNKNOWN = "TLS: the server's certificate is not by an authority that is known here"
FOR_ANOTHER = "TLS: the server's certificate is for another host"
EXPIRED = "TLS: the server's certificate has expired"
NO_TLS = "the server speaks no TLS at this port"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that whoever runs PostgreSQL can read."""
    with tempfile.TemporaryDirectory(prefix="tls-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def ours(folder: Path) -> Authority:
    return Authority(folder, "ours")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Authority:
    return Authority(folder, "theirs")


@contextmanager
def redis_with(certificate: Certificate) -> Iterator[tuple[Server, int]]:
    """Run a Redis server; its own port is without TLS, the one beside it is with it."""
    port = ports.free()
    with redis_server(
        "--tls-port", str(port), "--tls-auth-clients", "no",
        "--tls-cert-file", str(certificate.chain), "--tls-key-file", str(certificate.key),
        "--tls-ca-cert-file", str(certificate.chain),
    ) as server:  # fmt: skip
        yield server, port


@pytest.fixture(scope="module")
def redis(ours: Authority) -> Iterator[tuple[Server, int]]:
    with redis_with(ours.certificate("localhost")) as running:
        yield running


@pytest.fixture(scope="module")
def postgres(ours: Authority) -> Iterator[Server]:
    made = ours.certificate("localhost")
    if os.geteuid() == 0:
        shutil.chown(made.key, "postgres")
    with postgres_server(
        "-c", "ssl=on", "-c", f"ssl_cert_file={made.chain}", "-c", f"ssl_key_file={made.key}"
    ) as server:
        yield server


@pytest.fixture
def trusted(ours: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make our authority the one that this process knows."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ours.file))


async def redis_says(host: str, port: int, *, tls: bool = True) -> str:
    """Return what the client says of a server: that it is there, or why it cannot be used."""
    decided = asyncio.Event()
    client = Redis(RedisServer(host, port, tls=tls), changed=lambda _: decided.set())
    client.start()
    try:
        async with asyncio.timeout(10):
            await decided.wait()
        return str((await client.command("PING")).decode())
    except StoreUnavailable as exc:
        return str(exc).removeprefix("Redis cannot be used: ")
    finally:
        await client.close()


async def _nothing_to_prepare(_connection: object) -> None: ...


async def postgres_says(host: str, server: Server, *, tls: bool = True) -> str:
    """Return the same of a PostgreSQL server; if it is there, whether what was said was secret."""
    place = SecretFile(server.password_file, "Secret 'stores', key 'postgres'")
    where = PostgresServer(host, server.port, "postgres", "agents", tls=tls, password=place)
    decided = asyncio.Event()
    client = Postgres(where, prepare=_nothing_to_prepare, changed=lambda _: decided.set())
    client.start()
    try:
        async with asyncio.timeout(10):
            await decided.wait()
        (row,) = await client.fetch("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        return "secret" if row["ssl"] else "readable"
    except StoreUnavailable as exc:
        return str(exc).removeprefix("PostgreSQL cannot be used: ")
    finally:
        await client.close()


@pytest.mark.usefixtures("trusted")
async def test_redis_by_an_authority_that_is_known_is_used(redis: tuple[Server, int]) -> None:
    assert await redis_says("localhost", redis[1]) == "PONG"


@pytest.mark.usefixtures("trusted")
async def test_postgres_by_an_authority_that_is_known_is_used_over_tls(postgres: Server) -> None:
    assert await postgres_says("localhost", postgres) == "secret"
    assert await postgres_says("localhost", postgres, tls=False) == "readable"


async def test_a_server_by_another_authority_is_not_used(
    redis: tuple[Server, int],
    postgres: Server,
    theirs: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await redis_says("localhost", redis[1]) == UNKNOWN  # as the image is
    monkeypatch.setenv("SSL_CERT_FILE", str(theirs.file))
    assert await redis_says("localhost", redis[1]) == UNKNOWN
    assert await postgres_says("localhost", postgres) == UNKNOWN


@pytest.mark.usefixtures("trusted")
async def test_a_server_whose_certificate_is_for_another_host_is_not_used(
    redis: tuple[Server, int], postgres: Server, ours: Authority
) -> None:
    assert await redis_says("127.0.0.1", redis[1]) == FOR_ANOTHER
    assert await postgres_says("127.0.0.1", postgres) == FOR_ANOTHER
    with redis_with(ours.certificate("redis.data.svc")) as (_, port):
        assert await redis_says("localhost", port) == FOR_ANOTHER


@pytest.mark.usefixtures("trusted")
async def test_a_server_whose_certificate_has_expired_is_not_used(ours: Authority) -> None:
    old = ours.certificate("localhost", until=datetime.now(UTC) - timedelta(hours=1))
    with redis_with(old) as (_, port):
        assert await redis_says("localhost", port) == EXPIRED


@pytest.mark.usefixtures("trusted")
async def test_a_server_without_tls_is_not_used_where_tls_is_asked_for(
    redis: tuple[Server, int],
) -> None:
    # it waits for the rest of what it takes for a command
    assert await redis_says("localhost", redis[0].port) == f"no connection within 1 s, or {NO_TLS}"
    with postgres_server() as plain:
        assert await postgres_says("localhost", plain) == NO_TLS


def test_a_runtime_keeps_sessions_over_tls_by_an_authority_of_one_s_own(
    redis: tuple[Server, int], ours: Authority, tmp_path: Path
) -> None:
    document = serving.config(
        script='default: "turn {turn}"',
        contract="v1.1",
        sessions={"store": "Redis"},
        stores={"redis": {"host": "localhost", "port": redis[1], "tls": True}},
    )
    asked = {"messages": [{"role": "user", "content": "hello"}]}
    with serving.process(document, tmp_path, SSL_CERT_FILE=str(ours.file)) as running:
        answers = [
            httpx.post(
                f"{running.url}/v1/chat/completions", json=asked, headers={"X-Session-Id": "a"}
            ).json()["choices"][0]["message"]["content"]
            for _ in range(2)
        ]
    assert answers == ["turn 1", "turn 2"]
