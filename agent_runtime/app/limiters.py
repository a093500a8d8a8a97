"""Makes the limiter of each provider that has limits: shared if there is a Redis to share it in."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from agent_runtime import upkeep
from agent_runtime.app.contract import Config
from agent_runtime.app.contract_endpoint import LimitsEntry
from agent_runtime.providers.limits import Limiter, Limits, LocalLimiter
from agent_runtime.providers.shared_limits import SharedLimiter
from agent_runtime.stores.base import scope
from agent_runtime.stores.redis import Redis


@asynccontextmanager
async def opened(config: Config, redis: Redis | None) -> AsyncIterator[Mapping[str, Limiter]]:
    """Hold the limiters open, by the provider's name."""
    limited = {entry.name: _limits(entry.limits) for entry in config.providers if entry.limits}
    alone = {name: LocalLimiter(limits) for name, limits in limited.items()}
    if redis is None:
        yield alone
        return
    keys = f"{scope(config.namespace, config.system)}/provider-limits"
    shared = {
        name: SharedLimiter(redis, f"{keys}/{name}", limits, alone[name])
        for name, limits in limited.items()
    }
    async with upkeep.going_on(**{name: limiter.keep for name, limiter in shared.items()}):
        yield shared


def _limits(entry: LimitsEntry) -> Limits:
    return Limits(entry.concurrency, entry.requests_per_minute, entry.tokens_per_minute)
