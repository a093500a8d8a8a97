"""Opens the servers that a config names; what is away is no error here (I19)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent_runtime.app.contract_stores import PostgresEntry, RedisEntry, StoresEntry
from agent_runtime.app.contract_types import SecretPlace
from agent_runtime.memory import postgres_schema
from agent_runtime.observability.metrics import Metrics
from agent_runtime.secret_files import SecretFile
from agent_runtime.stores.postgres import Postgres, PostgresServer
from agent_runtime.stores.redis import Redis, RedisServer


@dataclass(frozen=True, slots=True)
class Stores:
    """The clients of this process, one for each server that the config names."""

    redis: Redis | None = None
    postgres: Postgres | None = None


@asynccontextmanager
async def opened(entry: StoresEntry | None, metrics: Metrics) -> AsyncIterator[Stores]:
    """Hold the clients open; whoever uses one is to be closed before it."""
    async with AsyncExitStack() as stack:
        stores = Stores(
            redis=_redis(entry.redis, metrics) if entry and entry.redis else None,
            postgres=_postgres(entry.postgres, metrics) if entry and entry.postgres else None,
        )
        for client in (stores.redis, stores.postgres):
            if client is not None:
                client.start()
                stack.push_async_callback(client.close)
        yield stores


def secret_file(place: SecretPlace | None) -> SecretFile | None:
    """Return where a secret of the config is read from."""
    return SecretFile(Path(place.file), place.origin) if place else None


def _redis(entry: RedisEntry, metrics: Metrics) -> Redis:
    server = RedisServer(entry.host, entry.port, entry.tls, secret_file(entry.password))
    return Redis(server, changed=metrics.store_up.labels("redis").set)


def _postgres(entry: PostgresEntry, metrics: Metrics) -> Postgres:
    server = PostgresServer(
        entry.host, entry.port, entry.database, entry.user, entry.tls, secret_file(entry.password)
    )
    changed = metrics.store_up.labels("postgres").set
    return Postgres(server, prepare=postgres_schema.prepare, changed=changed)
