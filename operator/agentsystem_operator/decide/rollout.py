"""How far an agent's pods are on their way to a revision.

Imported by plan, status and the engine. Counters come from the Deployment; a lost pod is not a
rollout, and neither is scaling.
"""

from enum import StrEnum

from agentsystem_operator.model.observed import Rollout


class Stage(StrEnum):
    """Where one agent stands."""

    PENDING = "pending"
    """The Deployment is missing, or its pod template is of another revision."""
    ROLLING = "rolling"
    """Pods of another revision remain, or pods of this one are not available yet."""
    OVERDUE = "overdue"
    """Rolling for longer than the Deployment's progressDeadlineSeconds."""
    DONE = "done"
    """Every pod is of the revision, and all of them have been available at once."""


def stage(live: Rollout | None, revision: str, *, was_done: bool) -> Stage:
    """Return the stage of one agent.

    `was_done`: the whole system had reached its desired revision before; then pods that are
    missing now were lost, which is no rollout.
    """
    if live is None or live.revision != revision:
        return Stage.PENDING
    seen = live.observed_generation >= live.generation
    # Going back from a stuck revision to the one before it is a rollout, though nothing is new.
    if was_done and not live.moving and live.replicas <= live.updated:
        return Stage.DONE
    if seen and _complete(live):
        return Stage.DONE
    return Stage.OVERDUE if seen and live.deadline_exceeded else Stage.ROLLING


def _complete(live: Rollout) -> bool:
    """Return whether the Deployment counts as complete: updated = replicas = available = wanted."""
    return live.updated == live.replicas == live.available == live.wanted


def has_enough(live: Rollout | None, desired: int) -> bool:
    """Return whether an agent can answer: available >= max(1, desired - 1).

    3 desired: 2 will do; 2 or 1 desired: 1 will do. With 0 desired nothing is ever enough.
    """
    return live is not None and desired > 0 and live.available >= max(1, desired - 1)


def has_all(live: Rollout | None, desired: int) -> bool:
    """Return whether an agent has every pod that it should have, ready."""
    return live is not None and desired > 0 and live.ready >= desired
