"""Sweep (a): the operator is killed at every single write of a change (I5).

Once before the write is forwarded, once after the apiserver did it and before the reply. It is
started again at once. Later seeds kill it a second time, a few writes into the recovery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from tests.chaos import faults, stories
from tests.chaos.faults import Asked, Fault, Signal
from tests.chaos.rig import Case, Operator
from tests.chaos.trial import References, Trial

LETTER = "a"
PATTERN = "crash at every write"
AGAIN_WITHIN = 4


async def trials(references: References, beginnings: Sequence[str]) -> list[Trial]:
    """Return a case for each write of each story that is meant, twice."""
    meant = [
        story
        for story in stories.ALL
        if not beginnings or any(_is_meant(story.name, text) for text in beginnings)
    ]
    writes = await asyncio.gather(*(references.disturbed(story) for story in meant))
    return [
        case for story, count in zip(meant, writes, strict=True) for case in of_story(story, count)
    ]


def _is_meant(story: str, beginning: str) -> bool:
    return f"{story}/".startswith(beginning) or beginning.startswith(f"{story}/")


def of_story(story: stories.Story, writes: int) -> Iterator[Trial]:
    """Yield the cases of one story whose change takes so many writes."""
    for number in range(1, writes + 1):
        for moment in ("before", "after"):
            yield trial(story, number, after_commit=moment == "after")


def trial(story: stories.Story, number: int, *, after_commit: bool) -> Trial:
    """Return the case that kills the operator at the n-th write of a story's change."""
    moment = "after" if after_commit else "before"

    async def disturb(case: Case, operator: Operator) -> None:
        first = operator.proxy.record.written + number
        operator.proxy.script = kill_at(first, after_commit=after_commit, seed=case.seed)

    async def was_killed(case: Case, operator: Operator) -> list[str]:
        del case
        await operator.wait_for_disturbance()
        return []

    return Trial(f"{story.name}/{number}/{moment}", story, disturb, after=was_killed)


def kill_at(first: int, *, after_commit: bool, seed: int) -> faults.RequestScript:
    """Return the script that kills at the first write, and from seed 2 on again a little later."""
    kill = Signal("kill", after_commit=after_commit)
    points = {first}
    if seed > 1:
        points.add(first + 1 + int(faults.chance(seed, first, after_commit) * AGAIN_WITHIN))

    def script(asked: Asked) -> Fault | None:
        return kill if asked.write in points else None

    return script
