"""Sweep (i): every field of the spec is set, changed, unset, taken to its bounds, and made wrong.

Five such steps, of fields in any order, make a chain; Hypothesis deals them. Seeds 1 to 3 together
walk every step once. Whatever the way, the end has to equal a fresh install of the spec that it
arrived at. What the models call wrong the apiserver refuses, or ConfigValid says it, and nothing
is written.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import hypothesis
from hypothesis import strategies as st

from agentsystem_operator.api import resource
from tests import builders
from tests.chaos import fingerprint, walk
from tests.chaos.admin import Refused, eventually
from tests.chaos.fingerprint import World
from tests.chaos.oracle import Ending
from tests.chaos.rig import SYSTEM, Case, Operator
from tests.chaos.stories import Story
from tests.chaos.trial import Reference, References, Trial
from tests.chaos.walk import Step
from tests.kube import Object, conditions

LETTER = "i"
PATTERN = "spec walked field by field, in chains of five"
CHAIN = 5
HANDS = 3
"""So many seeds walk every step once."""
SEEN_S = 15.0
ROLLOUT_S = 90.0
FEW = 3
"""A rollout of 100 pods, each available after 5 s and one at a time, would take eight minutes."""
CLAIM = "PersistentVolumeClaim"
HELD_S = 1.0
"""How long nothing is written while something wrong is declared."""


async def trials(references: References, beginnings: Sequence[str]) -> list[Trial]:
    """Return one case per chain."""
    del references, beginnings
    count = -(-len(walk.steps()) // (CHAIN * HANDS))
    return [trial(number) for number in range(count)]


def chain(number: int, seed: int) -> tuple[Step, ...]:
    """Return the steps of a chain."""
    order = dealt((seed - 1) // HANDS)
    hand = order[(seed - 1) % HANDS :: HANDS]
    return hand[number * CHAIN : (number + 1) * CHAIN]


@functools.cache
def dealt(deal: int) -> tuple[Step, ...]:
    """Return all steps in an order that Hypothesis draws; the same for the same deal."""
    drawn: list[list[int]] = []
    known = walk.steps()

    @hypothesis.seed(deal + 1)
    @hypothesis.settings(
        max_examples=2,
        phases=[hypothesis.Phase.generate],
        database=None,
        derandomize=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.randoms(use_true_random=False), st.permutations(range(len(known))))
    def draw(_: object, order: list[int]) -> None:
        drawn.append(order)

    draw()
    return tuple(known[number] for number in drawn[-1])


def of(spec: Object, ns: str) -> Object:
    """Return the system with a spec."""
    return {**builders.system(SYSTEM, ns), "spec": spec}


def is_valid(spec: Object) -> bool:
    """Say whether the operator's models take a spec."""
    return isinstance(resource.parse(of(spec, "default")), resource.AgentSystem)


def is_migration(old: Object, new: Object) -> bool:
    """Say whether a volume would have to become another one, which no edit may ask for."""
    volumes = []
    for spec in (old, new):
        sessions = spec.get("memory", {}).get("sessions", {})
        tier_default = "SQLite" if spec["tier"] == "Testing" else "Memory"
        if sessions.get("store", tier_default) != "SQLite":
            return False
        disk = sessions.get("sqlite", {})
        volumes.append((disk.get("size", "1Gi"), disk.get("storageClassName", "")))
    return volumes[0] != volumes[1]


async def _begin(case: Case) -> None:
    texts = {"front": "You are front.", "answers_yaml": builders.ANSWERS}
    await case.apply(builders.config_map("texts", case.ns, **texts))
    await case.apply(of(walk.HOMES[0], case.ns))


@dataclass(slots=True)
class Walk:
    """One run of a chain."""

    case: Case
    operator: Operator
    now: Object = field(default_factory=lambda: walk.HOMES[0])
    """What is declared."""
    walked: World | None = None
    """What came of it."""
    wrong: list[str] = field(default_factory=list)

    async def go(self, steps: Sequence[Step]) -> None:
        """Walk all steps, and keep what they lead to."""
        for step in steps:
            for spec in step.specs:
                await self._declare(step, spec)
        if (last := endable(self.now)) != self.now:
            await self._declare(Step("the end", ()), last)
        await eventually("rolled out", self._is_rolled_out, within_s=ROLLOUT_S)
        settled_s = await self.case.settle()
        self.wrong += [] if settled_s <= self.case.rig.settle_s else [f"walked {settled_s:.0f} s"]
        self.walked = await fingerprint.world(self.case.admin, self.case.ns, SYSTEM)

    async def _declare(self, step: Step, spec: Object) -> None:
        before = await self.case.system()
        assert before is not None
        refuses = not is_valid(spec) or is_migration(self.now, spec)
        try:
            after = await self.case.apply(of(spec, self.case.ns))
        except Refused as exc:
            if not refuses:
                self.wrong.append(f"{step.name}: refused: {exc}")
            return
        if refuses:
            self.wrong.append(f"{step.name}: taken, but the models refuse it")
        generation = after["metadata"]["generation"]
        await eventually(f"{step.name} seen", lambda: self._is_seen(generation), within_s=SEEN_S)
        valid = conditions(await self.case.system())["ConfigValid"]
        if valid["status"] == "True":
            self.now = spec
            return
        if valid["reason"] != "ConfigMapMissing" and valid["reason"] != "ConfigMapKeyMissing":
            self.wrong.append(f"{step.name}: {valid['reason']}: {valid['message']}")
        await self._nothing_is_written(step)
        await self.case.apply(of(self.now, self.case.ns))

    async def _is_rolled_out(self) -> bool:
        moving = conditions(await self.case.system()).get("Progressing", {})
        return bool(moving.get("status") == "False")

    async def _is_seen(self, generation: int) -> bool:
        system = await self.case.system()
        valid = conditions(system).get("ConfigValid", {})
        return bool(valid.get("observedGeneration") == generation)

    async def _nothing_is_written(self, step: Step) -> None:
        record = self.operator.proxy.record
        mark = record.last_write()
        await asyncio.sleep(HELD_S)
        self.wrong += [
            f"{step.name} is wrong, and was followed by {entry}"
            for entry in record.writes(since=mark)
            if entry.began > mark and entry.asked.resource not in ("agentsystems/status", "events")
        ]

    async def install_anew(self) -> None:
        """Delete the system, and declare its last spec in the empty namespace."""
        await self.case.delete("AgentSystem", SYSTEM)
        await self.case.settle()
        await self.case.apply(of(self.now, self.case.ns))

    async def compared(self) -> list[str]:
        """Return how the walked world differs from the fresh one."""
        await self.case.settle()
        fresh = await fingerprint.world(self.case.admin, self.case.ns, SYSTEM)
        assert self.walked is not None
        wanted = without_claims(fingerprint.without_history(fresh, of=fresh))
        found = without_claims(fingerprint.without_history(self.walked, of=fresh))
        return [*self.wrong, *fingerprint.differences(found, wanted)]


def endable(spec: Object) -> Object:
    """Return a spec whose rollout ends while one waits: not paused, and with few pods."""
    agents = [
        {**agent, "replicas": min(agent["replicas"], FEW)} if "replicas" in agent else agent
        for agent in spec["agents"]
    ]
    return {**spec, "agents": agents, **({"paused": False} if spec.get("paused") else {})}


def without_claims(world: World) -> World:
    """Return a world without claims: one is adopted as it is, whatever is asked for later."""
    kept = {ref: child for ref, child in world.children.items() if ref[0] != CLAIM}
    return World(kept, world.status)


def trial(number: int) -> Trial:
    """Return the case of one chain; which steps it has is a matter of the seed."""
    walks: dict[str, Walk] = {}

    async def disturb(case: Case, operator: Operator) -> None:
        walks[case.ns] = Walk(case, operator)
        await walks[case.ns].go(chain(number, case.seed))

    async def change(case: Case) -> None:
        await walks[case.ns].install_anew()

    async def after(case: Case, _: Operator) -> list[str]:
        return await walks[case.ns].compared()

    story = Story(f"chain-{number}", _begin, change, lambda _: [])
    return Trial(f"chain/{number}", story, disturb, after=after, judge=judged, by_itself=True)


def judged(_: Ending, __: Reference) -> list[str]:
    """All was said by the walk itself."""
    return []
