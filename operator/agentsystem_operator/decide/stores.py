"""Which of the declared servers a system's pods use: no other is shown to them.

Imported by decide. Every feature that uses a server is named here, in one place.
"""

from agentsystem_operator.api.spec import Sessions
from agentsystem_operator.api.stores import Stores
from agentsystem_operator.api.types import SessionStore


def used(declared: Stores, sessions: Sessions) -> Stores:
    """Return the servers that something uses: a declared one that nothing uses rolls no pod."""
    return Stores(
        redis=declared.redis if sessions.store is SessionStore.REDIS else None,
        postgres=declared.postgres if sessions.store is SessionStore.POSTGRES else None,
    )
