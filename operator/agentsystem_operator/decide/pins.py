"""Which defaults an agent is rendered with: those of today, or those that it is held to.

Imported by workloads, and for its values by plan, status and the engine.

Invariant (I21): an upgrade of the operator rolls no pod. Every default that reaches a Deployment
is taken from the agent's pin as long as what the user declared for that agent has not changed;
replicas are no part of that declaration, siblings only for the entry agent, which lists them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from agentsystem_operator.api.reasons import Pinned
from agentsystem_operator.api.tiers import TierDefaults
from agentsystem_operator.api.types import SessionStore, Tier
from agentsystem_operator.model.observed import Pin


@dataclass(frozen=True, slots=True)
class Defaults:
    """What this operator, or the one that rendered an agent last, fills in."""

    template: int
    image: str
    tiers: Mapping[Tier, TierDefaults]
    older: frozenset[int] = frozenset()
    """Other versions of the template that can still be rendered."""


@dataclass(frozen=True, slots=True)
class Given:
    """What one agent gets from defaults, or from the spec where that states it."""

    image: str
    template: int
    replicas: int
    store: SessionStore | None
    pre_stop: timedelta
    spread_required: bool


@dataclass(frozen=True, slots=True)
class HeldBack:
    """One thing that waits for the agent's next change."""

    what: Pinned
    held: str
    next: str


def held_to(pin: Pin | None, declared: str, tier: Tier, current: Defaults) -> Defaults:
    """Return the pinned defaults if the declaration is the one they were given to.

    A version of the template that this operator does not know, since a newer one made the pin,
    cannot be held: the agent is rendered with today's.
    """
    if pin is None or pin.declared != declared:
        return current
    known = {current.template, *current.older}
    return Defaults(
        template=pin.template if pin.template in known else current.template,
        image=pin.image,
        tiers={tier: _from_record(pin.defaults, current.tiers[tier])},
    )


def held_back(held: Given, current: Given) -> tuple[HeldBack, ...]:
    """Return what an agent would be given anew; empty when nothing is held back."""
    if held == current:
        return ()  # the usual case, in every pass
    now, then = dict(_in_words(held)), dict(_in_words(current))
    return tuple(HeldBack(what, now[what], then[what]) for what in now if now[what] != then[what])


def _in_words(given: Given) -> Iterator[tuple[Pinned, str]]:
    yield Pinned.IMAGE, given.image
    yield Pinned.TEMPLATE, str(given.template)
    yield Pinned.REPLICAS, str(given.replicas)
    yield Pinned.SESSION_STORE, given.store.value if given.store else ""
    yield Pinned.PRE_STOP, f"{int(given.pre_stop.total_seconds())}s"
    yield Pinned.SPREAD, "required" if given.spread_required else "preferred"


def recorded(defaults: TierDefaults) -> Mapping[str, str | int]:
    """Return a tier's defaults as a pin keeps them."""
    return {
        "replicas": defaults.replicas,
        "store": defaults.store.value if defaults.store else "",
        "preStopSeconds": int(defaults.pre_stop.total_seconds()),
        "spreadRequired": int(defaults.spread_required),
    }


def _from_record(pinned: Mapping[str, str | int], current: TierDefaults) -> TierDefaults:
    """Return the pinned tier defaults; one that an older operator did not pin is today's."""
    values = {**recorded(current), **pinned}
    try:
        return TierDefaults(
            replicas=int(values["replicas"]),
            store=SessionStore(str(values["store"])) if values["store"] else None,
            pre_stop=timedelta(seconds=int(values["preStopSeconds"])),
            spread_required=bool(values["spreadRequired"]),
        )
    except ValueError:
        return current
