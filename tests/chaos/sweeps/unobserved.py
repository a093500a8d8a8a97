"""Sweep (c): things change and change back between two looks of the operator (I6).

Its watches are held meanwhile. Afterwards everything comes late and at once, or nothing of it ever
comes: the streams expire, and only new lists tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.chaos import stories
from tests.chaos.faults import chance
from tests.chaos.rig import Case, Operator
from tests.chaos.stories import Story
from tests.chaos.trial import Judge, References, Trial, alike, untouched

LETTER = "c"
PATTERN = "changes that nobody observed"
HELD_S = 12.0
"""The longest that events are held; the seed says how long. The garbage collector of a deleted
system is done within that time, or is not."""


async def trials(references: References, beginnings: Sequence[str]) -> list[Trial]:
    """Return each story twice: its events come late, or never."""
    del references, beginnings
    return [
        *(trial(s, lost=lost, judge=untouched) for s in stories.AND_BACK for lost in (False, True)),
        *(
            trial(s, lost=lost, judge=alike)
            for s in (stories.RECREATE, stories.DELETE, stories.IMAGE)
            for lost in (False, True)
        ),
    ]


def trial(story: Story, *, lost: bool, judge: Judge) -> Trial:
    """Return the case in which a story's change is not observed while it happens."""

    async def disturb(_: Case, operator: Operator) -> None:
        operator.proxy.streams.gate.shut()

    async def after(case: Case, operator: Operator) -> list[str]:
        await asyncio.sleep(chance(case.seed, story.name) * HELD_S)
        gate = operator.proxy.streams.gate
        if lost:
            gate.lose()
        else:
            gate.open()
        operator.disturb()
        return []

    name = f"{story.name}/{'lost' if lost else 'late'}"
    return Trial(name, story, disturb, after=after, judge=judge)
