"""Sweep (f): connections that are dead without anybody saying so.

Either every established connection falls silent, in both directions, or only the watches do. The
operator must notice by itself, from the bookmarks that do not come, and go on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.chaos import stories
from tests.chaos.admin import eventually
from tests.chaos.faults import EventScript, Late, Seen
from tests.chaos.rig import Case, Operator
from tests.chaos.stories import Story
from tests.chaos.trial import References, Trial

LETTER = "f"
PATTERN = "half-open connections"
NOTICE_S = 75.0
"""Bookmarks come about once a minute: whoever has heard nothing for longer has to ask anew."""
MARGIN_S = 10.0
"""For the reconnects themselves, and a busy machine."""
FOREVER = Late(3600.0)
WATCHES = 11
"""Of a namespaced operator: the nine kinds of children, the users' ConfigMaps, AgentSystems."""
STORIES = (stories.IMAGE, stories.CONFIG_MAP, stories.RECREATE)


async def trials(references: References, beginnings: Sequence[str]) -> list[Trial]:
    """Return each story twice: all connections die, or only the watches."""
    del references, beginnings
    return [trial(story, all_=all_) for story in STORIES for all_ in (False, True)]


def trial(story: Story, *, all_: bool) -> Trial:
    """Return the case in which connections die right before a story's change."""

    async def disturb(_: Case, operator: Operator) -> None:
        streams = operator.proxy.streams
        if all_:
            operator.proxy.half_open()
        streams.script = silent_up_to(streams.opened)

    async def after(_: Case, operator: Operator) -> list[str]:
        began = time.monotonic()
        before = operator.proxy.streams.opened

        async def has_noticed() -> bool:
            return operator.proxy.streams.opened - before >= WATCHES

        await eventually("all watches are opened anew", has_noticed, within_s=2 * NOTICE_S)
        took = time.monotonic() - began
        operator.disturb()
        late = took > NOTICE_S + MARGIN_S
        return [f"noticed only after {took:.0f} s"] if late else []

    return Trial(f"{story.name}/{'all' if all_ else 'watches'}", story, disturb, after=after)


def silent_up_to(stream: int) -> EventScript:
    """Return the script by which streams of now tell nothing any more, and later ones all."""

    def script(seen: Seen) -> Late | None:
        return FOREVER if seen.stream <= stream else None

    return script
