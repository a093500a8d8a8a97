"""When a judgement that may flap is shown: trouble at once, relief when it has lasted.

Invariant: what is shown becomes worse at most as often as it has become better before, and each
time it gets better takes twice as long as the time before, up to five minutes. So a thing that
flaps for ever is written at most some 30 times in the first hour and 24 times in any later one.

  falls within ten minutes of each other   1    2    3    4   ...    8
  relief must have lasted, in seconds      3    6   12   24   ...  300
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agentsystem_operator.model.heard import Unrest

RELIEF_FIRST = timedelta(seconds=3)
"""Long enough to tell a provider that answers from one that answered once."""
RELIEF_MAX = timedelta(minutes=5)
CALM = timedelta(minutes=10)
"""Without a fall for so long, the next one is the first again; twice the longest relief."""
_FALLS_MAX = 16


@dataclass(frozen=True, slots=True)
class Shown:
    """Whether the judgement is shown now, and when it would be."""

    now: bool
    unrest: Unrest
    look_again: datetime | None = None


def relief(falls: int) -> timedelta:
    """Return for how long it must have been better: 3 s, doubled with each fall, at most 300 s."""
    doublings: int = 2 ** max(min(falls, _FALLS_MAX) - 1, 0)
    return min(RELIEF_FIRST * doublings, RELIEF_MAX)


def decide(*, shown: int, heard: int, unrest: Unrest, now: datetime) -> Shown:
    """Return whether to show what is heard; both are ranks, and the higher is the worse."""
    if heard == shown:
        return Shown(False, replace(unrest, better_since=None))
    if heard > shown:
        calm = unrest.fell_at is None or now - unrest.fell_at > CALM
        falls = 1 if calm else min(unrest.falls + 1, _FALLS_MAX)
        return Shown(True, Unrest(None, falls, now))
    since = unrest.better_since or now
    due = since + relief(unrest.falls)
    if now >= due:
        return Shown(True, replace(unrest, better_since=None))
    return Shown(False, replace(unrest, better_since=since), due)
