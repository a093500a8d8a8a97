"""Sweep (d): three calls in ten fail for two minutes, in every way an apiserver can, during edits.

Which calls, and how, follows from the seed and from each call's place among its equals. Watches
lose events likewise. What was edited meanwhile may be skipped, so the ending is compared with a
fresh install, and objects that every edit keeps must have been made once and deleted never.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence

from tests.chaos import oracle, stories
from tests.chaos.faults import (
    Answer,
    Asked,
    Cut,
    Failed,
    Fault,
    HalfAnswer,
    Hang,
    Reset,
    Seen,
    Twist,
    calm,
)
from tests.chaos.oracle import Ending
from tests.chaos.rig import Case, Operator
from tests.chaos.stories import Story
from tests.chaos.trial import Reference, References, Trial
from tests.kube import Object

LETTER = "d"
PATTERN = "API faults on 30 % of calls for 2 min"
SHARE = 0.3
FAULTY_S = 120.0
BRIEFLY_S = 20.0
"""Of the one case that every test run can afford."""
EDIT_EVERY_S = 8.0
FAULTS: tuple[Fault, ...] = (
    Answer(409, "Conflict"),
    Answer(410, "Expired"),
    Answer(429, "TooManyRequests", retry_after_s=2),
    Answer(403, "Forbidden"),
    Answer(500, "InternalError"),
    Answer(503, "ServiceUnavailable"),
    Answer(504, "Timeout"),
    Hang(),
    Reset(),
    Reset(after_commit=True),
    HalfAnswer(),
)
TWISTS: tuple[Twist, ...] = (Cut(), Cut(half_line=True), Failed(410), Failed(500))
HISTORY = frozenset({"configmaps", "controllerrevisions", "agentsystems"})

Spec = Callable[[str], Object]
EDITS: tuple[Spec, ...] = (
    lambda ns: stories.system(ns, runtime={"image": "example.org/agent:7"}),
    lambda ns: stories.system(ns, stories.front(replicas=4), stories.research()),
    lambda ns: stories.texts(ns, "You are under fire."),
    lambda ns: stories.system(ns, stories.front(), stories.research(instructions="Dig.")),
    lambda ns: stories.texts(ns, "You are calm."),
    lambda ns: stories.system(ns, stories.front(env=[{"name": "A", "value": "2"}])),
)
"""What is applied while calls fail; the last one removes an agent and is followed by the story's
own change, which brings it back or not."""
ON_DISK: tuple[Spec, ...] = (
    lambda ns: stories.sqlite(ns, stories.front(replicas=0), stories.research()),
    lambda ns: stories.texts(ns, "You are under fire."),
    lambda ns: stories.sqlite(ns, stories.front(replicas=1), stories.research(instructions="Dig.")),
)


async def trials(references: References, beginnings: Sequence[str]) -> list[Trial]:
    """Return one case per story."""
    del references, beginnings
    return [
        trial(stories.TWO_AGENTS, EDITS),
        trial(stories.REPLICAS, EDITS[:4]),
        trial(stories.REMOVAL, ON_DISK),
        trial(stories.RECREATE, ON_DISK),
        trial(stories.INSTRUCTIONS, EDITS[:3], faulty_s=BRIEFLY_S),
    ]


def trial(story: Story, edits: tuple[Spec, ...], *, faulty_s: float = FAULTY_S) -> Trial:
    """Return the case that edits a system under faults and ends with a story's change."""
    ends: dict[str, float] = {}

    async def disturb(case: Case, operator: Operator) -> None:
        ends[case.ns] = time.monotonic() + faulty_s
        operator.proxy.script = often
        operator.proxy.streams.script = often_bent
        for edit in itertools.cycle(edits):
            if time.monotonic() > ends[case.ns] - 2 * EDIT_EVERY_S:
                break
            await case.apply(edit(case.ns))
            await asyncio.sleep(EDIT_EVERY_S)
        # The story's own change is of the system; its text has to be the one it is judged with.
        await case.apply(stories.texts(case.ns))

    async def after(case: Case, operator: Operator) -> list[str]:
        await asyncio.sleep(max(ends[case.ns] - time.monotonic(), 0.0))
        operator.proxy.script = calm
        operator.proxy.streams.script = calm
        operator.disturb()
        hit = sum(entry.fault is not None for entry in operator.proxy.record.entries)
        return [] if hit >= faulty_s / 10 else [f"only {hit} calls were hit"]

    name = f"{story.name}/{'briefly' if faulty_s == BRIEFLY_S else 'under-fire'}"
    return Trial(name, story, disturb, after=after, judge=kept)


def often(asked: Asked) -> Fault | None:
    """Return a fault for three calls in ten, each sort as often as the others."""
    return FAULTS[int(asked.roll / SHARE * len(FAULTS))] if asked.roll < SHARE else None


def often_bent(seen: Seen) -> Twist | None:
    """Return an end of the stream for three events in ten."""
    return TWISTS[int(seen.roll / SHARE * len(TWISTS))] if seen.roll < SHARE else None


def kept(seen: Ending, reference: Reference) -> list[str]:
    """What the story without faults makes once was not made, or deleted, more often than edits ask.

    Edits that the operator never saw, or saw twice, may change what is made of an agent that comes
    and goes; objects of the entry agent and of the system stay through all of them.
    """
    lasting = {
        name: count
        for name, count in reference.ending.created.items()
        if name[0] not in HISTORY and "research" not in name[1]
    }
    wrong = [
        f"{resource}/{name} was made {seen.created[resource, name]} times, not {count}"
        for (resource, name), count in lasting.items()
        if seen.created[resource, name] != count
    ]
    wrong += [
        f"{resource}/{name} was deleted {seen.deleted[resource, name]} times"
        for resource, name in lasting
        if seen.deleted[resource, name] > reference.ending.deleted[resource, name]
    ]
    return [*wrong, *oracle.no_volume_deleted(seen)]
