"""How answers degrade: one ordered list, and how far down it each state of the budget may go."""

from collections.abc import Mapping
from enum import IntEnum

from agent_runtime.cost.budget import State


class Level(IntEnum):
    """What was given up, from nothing to nearly all; each is visible in headers and metrics."""

    FULL = 0
    """The agent's own route, and all of the conversation."""
    REDUCED_CONTEXT = 1
    """The older part of the conversation was left out."""
    CHEAPER_MODEL = 2
    """The route that `degradeRoute` names was asked first."""
    CACHED_ANSWER = 3
    """An answer given before, although its time was over."""
    STATIC_ANSWER = 4
    """What costs nothing: a scripted provider at the end of the agent's chain. Without one the
    request is refused with 429 `insufficient_quota`."""

    @property
    def label(self) -> str:
        """The level's name in headers and metrics."""
        return self.name.lower().replace("_", "-")


DEEPEST: Mapping[State, Level] = {
    State.AVAILABLE: Level.FULL,
    State.WARNING: Level.FULL,
    State.DEGRADED: Level.CACHED_ANSWER,
    State.EXHAUSTED: Level.STATIC_ANSWER,
}
"""Without `UNKNOWN`: doubt changes nothing, so the last known state goes on to decide."""


def may_be_stale(state: State) -> bool:
    """Return whether an answer given before is good enough although its time is over."""
    return DEEPEST[state] >= Level.CACHED_ANSWER
