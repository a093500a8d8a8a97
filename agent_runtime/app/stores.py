"""Opens the servers that a config names; what is away is no error here (I19)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent_runtime.app.contract_stores import RedisEntry, StoresEntry
from agent_runtime.app.contract_types import SecretPlace
from agent_runtime.observability.metrics import Metrics
from agent_runtime.secret_files import SecretFile
from agent_runtime.stores.redis import Redis, RedisServer


@dataclass(frozen=True, slots=True)
class Stores:
    """The clients of this process, one for each server that the config names."""

    redis: Redis | None = None


@asynccontextmanager
async def opened(entry: StoresEntry | None, metrics: Metrics) -> AsyncIterator[Stores]:
    """Hold the clients open; whoever uses one is to be closed before it."""
    redis = _redis(entry.redis, metrics) if entry and entry.redis else None
    if redis is not None:
        redis.start()
    try:
        yield Stores(redis)
    finally:
        if redis is not None:
            await redis.close()


def secret_file(place: SecretPlace | None) -> SecretFile | None:
    """Return where a secret of the config is read from."""
    return SecretFile(Path(place.file), place.origin) if place else None


def _redis(entry: RedisEntry, metrics: Metrics) -> Redis:
    server = RedisServer(entry.host, entry.port, entry.tls, secret_file(entry.password))
    return Redis(server, changed=metrics.store_up.labels("redis").set)
