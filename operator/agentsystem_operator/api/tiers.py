"""What each tier stands for: the one table of defaults, and how the store changes them.

Read by the spec's rules, by the operator's core and by the generated documentation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from agentsystem_operator.api.types import SessionStore, Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class TierDefaults:
    """The defaults of one tier; a spec can override the first two."""

    replicas: int
    """Replicas of an agent that states none; store SQLite makes it 1 in every tier."""
    store: SessionStore | None
    """Store of sessions when the spec states none; None means that it has to be stated."""
    pre_stop: timedelta
    """How long a pod keeps serving after it was told to stop, until no one sends it requests."""
    spread_required: bool
    """Whether replicas must be on different hosts, rather than should."""


TABLE: Mapping[Tier, TierDefaults] = MappingProxyType(
    {
        Tier.DEVELOPMENT: TierDefaults(
            replicas=1,
            store=SessionStore.MEMORY,
            pre_stop=timedelta(seconds=2),
            spread_required=False,
        ),
        Tier.TESTING: TierDefaults(
            replicas=1,
            store=SessionStore.SQLITE,
            pre_stop=timedelta(seconds=2),
            spread_required=False,
        ),
        Tier.STAGING: TierDefaults(
            replicas=2,
            store=None,
            pre_stop=timedelta(seconds=15),
            spread_required=False,
        ),
        Tier.PRODUCTION: TierDefaults(
            replicas=3,
            store=None,
            pre_stop=timedelta(seconds=15),
            spread_required=True,
        ),
    }
)


def effective_store(stated: SessionStore | None, defaults: TierDefaults) -> SessionStore:
    """Return the store that a system uses: the stated one, else the tier's.

    A tier without a default leaves Memory, which loses nothing that was promised; a valid spec
    never gets there, since it states the store.
    """
    return stated or defaults.store or SessionStore.MEMORY


def effective_replicas(stated: int | None, defaults: TierDefaults, *, store: SessionStore) -> int:
    """Return the replicas of an agent: the stated number, else 1 with SQLite, else the tier's."""
    if stated is not None:
        return stated
    return 1 if store is SessionStore.SQLITE else defaults.replicas
