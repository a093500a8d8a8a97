"""Who writes a Deployment's replicas next, and how many.

Imported by plan and the engine. One owner: the scale manager. A Deployment is born with replicas
that belong to the main manager; they are handed over before that manager applies again, since a
sole owner that leaves the field out would reset it to 1.
"""

from dataclasses import dataclass

from agentsystem_operator.model.actions import Why
from agentsystem_operator.model.observed import ReplicasOwner, Rollout


@dataclass(frozen=True, slots=True)
class HandOver:
    """The scale manager has to own the field before anything else is applied."""


@dataclass(frozen=True, slots=True)
class SetTo:
    """The scale manager has to write this number."""

    replicas: int
    why: Why

    lowers: bool
    """Lowered before the pod template changes, raised after it: pods that share one volume must
    be few before they need it, and new ones need not start from the old template."""


@dataclass(frozen=True, slots=True)
class Keep:
    """The number is right, and ours."""


Decision = HandOver | SetTo | Keep


def decide(live: Rollout, wanted: int) -> Decision:
    """Return what has to be written for `wanted` replicas to be there and ours."""
    if live.replicas_owner is ReplicasOwner.MAIN:
        return HandOver()
    if live.replicas_owner is ReplicasOwner.OTHER:
        return SetTo(wanted, Why.TAMPERED, lowers=wanted < live.wanted)
    if live.wanted != wanted:
        return SetTo(wanted, Why.REPLICAS, lowers=wanted < live.wanted)
    return Keep()
