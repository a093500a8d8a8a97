"""One chaos case from its beginning to its verdict, and the reference that it is judged by."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp

from tests import audit
from tests.chaos import fingerprint, oracle, stories
from tests.chaos.faults import chance
from tests.chaos.fingerprint import World
from tests.chaos.oracle import Ending
from tests.chaos.rig import SYSTEM, Case, Operator, Rig
from tests.chaos.stories import Story
from tests.kube import Object

REST_S = 60.0
"""Once per sweep nothing may be written for so long."""
FAILURES = (AssertionError, TimeoutError, OSError, aiohttp.ClientError)
"""What may go wrong in a case without ending the others: it ends in the verdict."""
SURE = 0.75
"""The share of a change's writes that every run of it makes."""
BYSTANDER = "bystander"
TEXTS = ("ConfigMap", stories.TEXTS)
"""The only object that is not the system's and that stories change."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one case with one seed ended."""

    sweep: str
    case: str
    seed: int
    wrong: tuple[str, ...]
    """Sentences about what is wrong; none when it passed."""
    settled_s: float = 0.0
    """From the last fault to the last write."""
    took_s: float = 0.0

    @property
    def passed(self) -> bool:
        """Say whether nothing is wrong."""
        return not self.wrong


@dataclass(frozen=True, slots=True)
class Reference:
    """A story without faults, and what it ends with when it is installed afresh."""

    ending: Ending
    fresh: World | None
    """None when the story ends without a system."""


Disturb = Callable[[Case, Operator], Awaitable[None]]
"""Arranges the faults; called when the beginning has settled, right before the change."""
Judge = Callable[[Ending, Reference], list[str]]


@dataclass(frozen=True, slots=True)
class Trial:
    """One case: a story, what disturbs it, and how its ending is judged."""

    name: str
    story: Story
    disturb: Disturb
    after: Callable[[Case, Operator], Awaitable[list[str]]] | None = None
    """Runs after the change, before settling; returns what is wrong already."""
    judge: Judge | None = None
    """Replaces the comparison with the undisturbed story where creates may differ rightly."""
    rest_s: float = 0.0
    """How long nothing may be written afterwards, beyond the 11 s that settling needs."""
    by_itself: bool = False
    """Whether its judge needs no reference."""
    seeded: bool = True
    """Whether another seed makes another case; else one is enough."""


def alike(seen: Ending, reference: Reference) -> list[str]:
    """The same world, the same lives, nothing else written."""
    return [
        *oracle.same_world(seen, reference.ending),
        *oracle.same_lives(seen, reference.ending),
        *oracle.nothing_else_written(seen, reference.ending),
    ]


def untouched(seen: Ending, reference: Reference) -> list[str]:
    """Nothing but the status was written: the world is that of the first installation."""
    again = {name: count for name, count in seen.created.items() if count > 1}
    wrong = [f"{resource}/{name} was made again" for resource, name in again]
    wrong += [f"{resource}/{name} was deleted" for resource, name in seen.deleted]
    if reference.fresh is not None:
        wrong += fingerprint.differences(seen.world, reference.fresh)
    return wrong


NOTHING = Reference(
    Ending(World({}, None), Counter(), Counter(), frozenset(), disturbed=0, settled_s=0.0), None
)
"""The reference of what is judged by itself."""


class NoReference(AssertionError):
    """A story did not end well even without faults: nothing can be judged by it."""


class References:
    """The references of a run, each made once."""

    def __init__(self, rig: Rig, slots: asyncio.Semaphore, group: asyncio.TaskGroup) -> None:
        self.rig = rig
        self._slots = slots
        self._group = group
        self._made: dict[str, asyncio.Task[Reference | str]] = {}
        self._installed: dict[str, asyncio.Task[World | str]] = {}
        """By what is declared, since many stories end alike."""

    async def of(self, story: Story) -> Reference:
        """Return the reference of a story; raises NoReference when there is none."""
        if story.name not in self._made:
            self._made[story.name] = self._group.create_task(self._make(story))
        found = await self._made[story.name]
        if isinstance(found, str):
            raise NoReference(f"{story.name} without faults: {found}")
        return found

    async def disturbed(self, story: Story) -> int:
        """Return how many writes a story's change takes; one when even that could not be found.

        That one case then says what is wrong.
        """
        try:
            return (await self.of(story)).ending.disturbed
        except NoReference:
            return 1

    async def write_midway(self, story: Story, seed: int) -> int:
        """Return the number of a write in the middle of a story's change, by the seed.

        The last ones are of the status, and how many there are depends on when pods come.
        """
        return 1 + int(chance(seed, story.name) * SURE * await self.disturbed(story))

    async def _make(self, story: Story) -> Reference | str:
        installing = self._group.create_task(self._fresh(story.declared))
        try:
            async with self._slots, self.rig.case() as case:
                ending, wrong = await _tell(case, Trial(story.name, story, _leave_alone))
        except FAILURES as exc:
            return _say(exc)
        fresh = await installing
        if isinstance(fresh, str):
            return fresh
        # How fast a story settles without faults is not what is tested here.
        wrong = [
            line for line in wrong if line not in oracle.settled_in_time(ending, self.rig.settle_s)
        ]
        return "; ".join(wrong) or Reference(ending, fresh)

    async def _fresh(self, declared: Callable[[str], list[Object]]) -> World | str | None:
        """Return a fresh install of what a story ends with, None for nothing, or what failed."""
        name = json.dumps(declared("any"), sort_keys=True)
        if not declared("any"):
            return None
        if name not in self._installed:
            self._installed[name] = self._group.create_task(self._install(declared))
        return await self._installed[name]

    async def _install(self, declared: Callable[[str], list[Object]]) -> World | str:
        try:
            async with self._slots, self.rig.case() as case:
                await case.operator()
                for body in declared(case.ns):
                    await case.apply(body)
                await case.settle()
                return await fingerprint.world(case.admin, case.ns, SYSTEM)
        except FAILURES as exc:
            return f"fresh install: {_say(exc)}"


async def run(rig: Rig, reference: Reference, sweep: str, trial: Trial, *, seed: int) -> Verdict:
    """Run one case and judge it; whatever goes wrong in it is in the verdict."""
    began = time.monotonic()
    wrong: list[str] = []
    settled_s = 0.0
    async with rig.case(seed=seed) as case:
        try:
            ending, wrong = await _tell(case, trial)
            settled_s = ending.settled_s
            wrong += (trial.judge or alike)(ending, reference)
            if reference.fresh is not None:
                wrong += oracle.as_if_fresh(ending, reference.fresh)
        except FAILURES as exc:
            wrong.append(_say(exc))
        if wrong:
            wrong.append(rig.keep(case))
    return Verdict(sweep, trial.name, seed, tuple(wrong), settled_s, time.monotonic() - began)


def _say(exc: Exception) -> str:
    return str(exc) or type(exc).__name__


async def _tell(case: Case, trial: Trial) -> tuple[Ending, list[str]]:
    """Let a story happen; returns its ending and what is wrong in itself."""
    await case.admin.apply(_bystander(case.ns))
    operator = await case.operator()
    await operator.wait_until_acting()
    await trial.story.before(case)
    if await case.system():
        await case.settle()
    before = (await fingerprint.world(case.admin, case.ns, SYSTEM)).versions
    mark = operator.proxy.record.written
    await trial.disturb(case, operator)
    await trial.story.change(case)
    wrong = await trial.after(case, operator) if trial.after else []
    settled_s = await case.settle()
    disturbed = operator.proxy.record.written - mark
    ending = oracle.ended(
        await fingerprint.world(case.admin, case.ns, SYSTEM),
        [each.proxy.record for each in case.operators],
        disturbed=disturbed,
        settled_s=settled_s,
    )
    return ending, [*wrong, *_itself(case, ending, before), *await _at_rest(case, trial.rest_s)]


async def _at_rest(case: Case, rest_s: float) -> list[str]:
    """Return what is asked in a long rest, by the apiserver's log; a short one is settling's."""
    if not rest_s:
        return []
    await asyncio.sleep(rest_s)
    asked: list[audit.Request] = []
    for operator in case.operators:
        asked += await asyncio.to_thread(
            audit.restless, case.rig.cluster, user=operator.user, for_s=rest_s
        )
    return oracle.at_rest(asked, for_s=rest_s)


def _itself(case: Case, ending: Ending, before: Mapping[fingerprint.Name, str]) -> list[str]:
    """Return what is wrong with an ending without any comparison."""
    wrong = [
        *oracle.nothing_foreign(ending, {n: v for n, v in before.items() if n != TEXTS}),
        *oracle.no_orphan(ending),
        *oracle.no_volume_deleted(ending),
        *oracle.settled_in_time(ending, case.rig.settle_s),
    ]
    for operator in case.operators:
        log = operator.process.log
        wrong += oracle.no_traceback(log.read_text() if log.exists() else "")
    return wrong


def _bystander(ns: str) -> Object:
    """An object that looks like a child and has no owner: nobody's to touch."""
    labels = {
        "app.kubernetes.io/managed-by": "agentsystem-operator",
        "agentsystem.dev/system": SYSTEM,
        "agentsystem.dev/agent": "front",
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": BYSTANDER, "namespace": ns, "labels": labels},
        "spec": {"ports": [{"port": 80}]},
    }


async def _leave_alone(_: Case, __: Operator) -> None:
    """Disturb nothing."""
