"""Which of the declared servers a system's pods use: no other is shown to them.

Imported by decide. Every feature that uses a server is named here, in one place.
"""

from collections.abc import Iterable

from agentsystem_operator.api.cache import Cache
from agentsystem_operator.api.spec import Provider, Sessions
from agentsystem_operator.api.stores import Stores
from agentsystem_operator.api.types import SessionStore


def used(
    declared: Stores,
    sessions: Sessions | None,
    providers: Iterable[Provider],
    *,
    cache: Cache | None,
    counts: bool,
) -> Stores:
    """Return the servers that something uses: a declared one that nothing uses rolls no pod.

    `providers` are those that the pods may ask; their limits are kept together in Redis, as the
    answers of the cache are, and what pods count together (`counts`): requests of callers, money.
    """
    store = sessions.store if sessions else None
    limited = any(each.endpoint is not None and each.endpoint.limits for each in providers)
    needed = limited or counts or cache is not None or store is SessionStore.REDIS
    return Stores(
        redis=declared.redis if needed else None,
        postgres=declared.postgres if store is SessionStore.POSTGRES else None,
    )
