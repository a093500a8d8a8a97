"""Which of the declared servers a system's pods use: no other is shown to them.

Imported by decide. Every feature that uses a server is named here, in one place.
"""

from collections.abc import Iterable

from agentsystem_operator.api.spec import Provider, Sessions
from agentsystem_operator.api.stores import Stores
from agentsystem_operator.api.types import SessionStore


def used(
    declared: Stores, sessions: Sessions | None, providers: Iterable[Provider], *, counts: bool
) -> Stores:
    """Return the servers that something uses: a declared one that nothing uses rolls no pod.

    `providers` are those that the pods may ask; their limits are kept together in Redis. So is what
    pods count that limit their callers (`counts`).
    """
    store = sessions.store if sessions else None
    limited = any(each.endpoint is not None and each.endpoint.limits for each in providers)
    return Stores(
        redis=declared.redis if limited or counts or store is SessionStore.REDIS else None,
        postgres=declared.postgres if store is SessionStore.POSTGRES else None,
    )
