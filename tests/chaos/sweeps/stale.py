"""Sweep (b): the operator restarts against a frozen view of the past (I6).

Lists and watches show how things were, single reads and writes are answered from the present. Then
the view thaws. The past is the moment before the change, or one in the middle of it; the change was
carried out by an operator before, or nobody has seen it yet. Another uid under the same name is the
worst of these pasts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.chaos import stories
from tests.chaos.faults import Signal, at_write
from tests.chaos.past import Past
from tests.chaos.rig import Case, Operator
from tests.chaos.stories import Story
from tests.chaos.trial import References, Trial

LETTER = "b"
PATTERN = "restart against a frozen past"
FROZEN_S = 8.0
"""How long the operator acts, once it leads, on what it is shown."""

SEEN_BEFORE = (
    *(stories.IMAGE, stories.REPLICAS, stories.REMOVAL, stories.CONFIG_MAP),
    *(stories.DELETE, stories.RECREATE),
)
MIDWAY = (*SEEN_BEFORE[:4], stories.RECREATE, stories.CREATE, stories.SHORT_LIFE)
"""Stories in whose middle the operator writes, so that there is one."""


async def trials(references: References, beginnings: Sequence[str]) -> list[Trial]:
    """Return the cases whose names may begin so."""
    del beginnings  # references are made only for the cases that run
    return [
        *(unseen(story) for story in SEEN_BEFORE),
        *(acted_upon(story) for story in SEEN_BEFORE),
        *(midway(story, references) for story in MIDWAY),
    ]


def unseen(story: Story) -> Trial:
    """The change happens while no operator runs; the one that starts is shown the past."""

    async def disturb(_: Case, operator: Operator) -> None:
        operator.past = await operator.proxy.snapshot()
        await operator.process.hold_down()

    async def after(_: Case, operator: Operator) -> list[str]:
        await live_in(operator, operator.past)
        return []

    return Trial(f"{story.name}/unseen", story, disturb, after=after)


def acted_upon(story: Story) -> Trial:
    """The change was carried out to its end; then a restart is shown how it was before."""

    async def disturb(_: Case, operator: Operator) -> None:
        operator.past = await operator.proxy.snapshot()

    return Trial(f"{story.name}/acted-upon", story, disturb, after=_restart_in_the_past)


def midway(story: Story, references: References) -> Trial:
    """As `acted_upon`, but the past is a moment in the middle of the change, by the seed."""

    async def disturb(case: Case, operator: Operator) -> None:
        number = await references.write_midway(story, case.seed)
        first = operator.proxy.record.written
        operator.proxy.script = at_write(first + number, Signal("remember", forward=True))

    return Trial(f"{story.name}/midway", story, disturb, after=_restart_in_the_past)


async def _restart_in_the_past(case: Case, operator: Operator) -> list[str]:
    await case.settle()
    await operator.process.hold_down()
    await live_in(operator, operator.past)
    return []


async def live_in(operator: Operator, past: Past | None) -> None:
    """Start the operator in a past, let it act there for a while, and thaw the view."""
    assert past is not None, "the moment to remember never came"
    operator.proxy.view.freeze(past)
    operator.disturb()
    operator.process.let_up()
    await operator.wait_until_acting()
    await asyncio.sleep(FROZEN_S)
    operator.proxy.view.thaw()
    operator.disturb()
