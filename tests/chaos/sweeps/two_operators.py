"""Sweep (g): the leader is frozen for 30 s while it works, the standby takes over, it wakes up.

From the first write of the new leader on, the old one writes nothing: neither at the moment it
wakes up, with a pass half done, nor later. Each has a user of its own, so that the apiserver's
audit log can be asked as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests import audit
from tests.chaos import stories
from tests.chaos.admin import eventually
from tests.chaos.faults import Signal, at_write, chance
from tests.chaos.record import Record
from tests.chaos.rig import Case, Operator
from tests.chaos.stories import Story
from tests.chaos.trial import References, Trial

LETTER = "g"
PATTERN = "the leader frozen for 30 s"
FROZEN_S = 30.0
STORIES = (stories.IMAGE, stories.REPLICAS, stories.REMOVAL, stories.CREATE)


async def trials(references: References, beginnings: Sequence[str]) -> list[Trial]:
    """Return each story twice: the leader is frozen before the change, or in the middle of it."""
    del beginnings
    return [
        trial(story, references, midway=midway) for story in STORIES for midway in (False, True)
    ]


def trial(story: Story, references: References, *, midway: bool) -> Trial:
    """Return the case in which the leader is frozen around a story's change."""

    async def disturb(case: Case, operator: Operator) -> None:
        standby = await case.operator("b")
        await standby.wait_until_standing_by()
        if not midway:
            operator.process.freeze()
            operator.disturb()
            return
        # While the apiserver still works on the write, or when it is done and the answer is on
        # its way: the pass is half done either way.
        number = await references.write_midway(story, case.seed)
        after_commit = chance(case.seed, story.name, "moment") < 0.5
        signal = Signal("freeze", after_commit=after_commit, forward=True)
        first = operator.proxy.record.written
        operator.proxy.script = at_write(first + number, signal)

    return Trial(f"{story.name}/{'midway' if midway else 'at-rest'}", story, disturb, after=_thawed)


async def _thawed(case: Case, operator: Operator) -> list[str]:
    standby = case.operators[1]
    await operator.wait_for_disturbance()
    frozen = asyncio.get_running_loop().time()
    await eventually("the standby leads", lambda: _leads(standby), within_s=FROZEN_S)
    rest = FROZEN_S - (asyncio.get_running_loop().time() - frozen)
    await asyncio.sleep(max(rest, 0.0))
    operator.process.thaw()
    operator.disturb()
    await case.settle()
    wrong = not_both(operator.proxy.record, standby.proxy.record)
    return wrong or await asyncio.to_thread(not_both_by_audit, case)


async def _leads(standby: Operator) -> bool:
    return standby.is_acting


def not_both(old: Record, new: Record) -> list[str]:
    """Return what the old leader wrote after the new one had begun to."""
    first = next((entry.began for entry in new.writes()), float("inf"))
    return [f"the old leader wrote: {entry}" for entry in old.writes(since=first)]


def not_both_by_audit(case: Case) -> list[str]:
    """Return the same as the apiserver saw it, by the users of the two."""
    old, new = (
        [
            write
            for write in audit.writes(case.rig.cluster, user=operator.user, namespace=case.ns)
            if write.resource != "leases"
        ]
        for operator in case.operators
    )
    first = min((write.at for write in new), default=None)
    return [f"the old leader wrote: {w}" for w in old if first is not None and w.at > first]
