"""Builds the answer cache that a config asks for."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent_runtime.app.contract import Config
from agent_runtime.cache import shared
from agent_runtime.cache.answers import Answers, Rules
from agent_runtime.cache.cached import Cached
from agent_runtime.cache.kept import Shelf
from agent_runtime.cache.shared import RedisShelf, Shared
from agent_runtime.observability.metrics import Metrics
from agent_runtime.providers.base import Provider
from agent_runtime.stores import base
from agent_runtime.stores.redis import Redis

if TYPE_CHECKING:  # the library behind it costs memory that most processes can save
    from agent_runtime.memory.encrypted import KeyRing


def around(
    config: Config,
    redis: Redis | None,
    ring: "KeyRing | None",
    metrics: Metrics,
    *,
    may_serve_stale: Callable[[], bool] | None = None,
) -> Callable[[Provider], Provider]:
    """Return what puts the cache around a route, or leaves it alone; one cache for all routes.

    `ring`: what is shared is sealed. `may_serve_stale`: see `Rules`.
    """
    entry = config.cache
    if entry is None:
        return lambda route: route
    shelf = Shelf(max_entries=entry.max_entries)
    metrics.cache.measures(lambda: len(shelf), lambda: shelf.bytes)
    rules = Rules(entry.ttl_seconds, revision_of(config), may_serve_stale)
    answers = Answers(rules, shelf, _shared(config, redis, ring), metrics.cache)
    return lambda route: Cached(route, answers)


def revision_of(config: Config) -> str:
    """Return what is the same in all pods of a revision, and in no other: a hash of the config."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()


def _shared(config: Config, redis: Redis | None, ring: "KeyRing | None") -> Shared | None:
    if redis is None:
        return None
    begin = base.scope(config.namespace, config.system)
    shelf = RedisShelf(redis, begin, within_s=shared.WITHIN_S)
    if ring is None:
        return shelf
    from agent_runtime.cache.sealed import SealedShelf

    return SealedShelf(shelf, ring)
