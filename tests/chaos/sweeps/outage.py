"""Sweep (e): the apiserver is away for three minutes, or etcd is restarted, right after edits.

A fault of the whole cluster: the cases of a group change their systems at the same moment, share
one outage, and run while no other sweep does.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from tests.chaos import stories
from tests.chaos.admin import Refused, eventually
from tests.chaos.faults import chance
from tests.chaos.rig import Case, Operator
from tests.chaos.stories import Story
from tests.chaos.trial import References, Trial
from tests.conftest import ROOT
from tests.kube import Object

LETTER = "e"
PATTERN = "apiserver away for 3 min, etcd restarted"
STORIES = (stories.IMAGE, stories.REMOVAL, stories.DELETE, stories.CREATE)
GATHER_S = 240.0
"""How long the cases of a group wait for each other."""
BACK_S = 120.0
COLLECTED_S = 300.0
"""The garbage collector doubles its waiting each time that nobody answers: after an outage of three
minutes it may let as much pass again before it deletes what lost its owner right before."""
SPREAD_S = 1.5
"""An edit is at most so much older than the outage: work is cut off anywhere."""
REQUESTS_PER_S = 20.0
"""An operator that asks more often while nobody answers makes an outage worse."""


@dataclass(slots=True)
class Outage:
    """One outage for a group of cases."""

    program: str
    down_for_s: float
    cluster: str
    expected: int = 1
    """How many runs have to be ready before it happens."""
    _arrived: int = 0
    _all: asyncio.Event = field(default_factory=asyncio.Event)
    _gone: asyncio.Task[Return] | None = None

    async def meet(self) -> None:
        """Return when all cases of the group have come, or no more are to be expected."""
        self._arrived += 1
        if self._arrived >= self.expected:
            self._all.set()
        try:
            async with asyncio.timeout(GATHER_S):
                await self._all.wait()
        except TimeoutError:
            self._all.set()

    async def happen(self, case: Case) -> Return:
        """Let it happen once; returns when the cluster was back."""
        if self._gone is None:
            self._gone = asyncio.create_task(self._happen(case))
        return await asyncio.shield(self._gone)

    async def _happen(self, case: Case) -> Return:
        await asyncio.sleep(SPREAD_S)
        command = [sys.executable, "-m", "devcluster", "restart", self.program]
        more = ["--name", self.cluster, "--down-for", str(self.down_for_s)]
        process = await asyncio.create_subprocess_exec(
            *command, *more, cwd=ROOT, stdout=subprocess.DEVNULL
        )
        code = await process.wait()
        if code:
            raise Refused(f"devcluster restart {self.program}: exit code {code}")
        await eventually("the apiserver is back", lambda: _answers(case), within_s=BACK_S)
        answers = time.monotonic()
        probe = await case.admin.apply(_probe(f"chaos-{case.ns}"))
        await eventually("controllers act", lambda: _is_taken_up(case, probe), within_s=BACK_S)
        await case.admin.delete("Deployment", probe["metadata"]["name"], "default")
        return Return(answers, time.monotonic())


@dataclass(frozen=True, slots=True)
class Return:
    """When the cluster was back, on the monotonic clock."""

    answers: float
    """The apiserver answers."""
    acts: float
    """The cluster's own controllers, which wait up to half a minute before they try again, act:
    no rollout ends before."""


@dataclass(frozen=True, slots=True)
class Met(Trial):
    """A case that meets others in an outage."""

    outage: Outage = field(kw_only=True)


def expect(cases: Sequence[Trial], *, runs: int) -> None:
    """Tell the outage of these cases how many runs will meet in it."""
    for case in cases:
        if isinstance(case, Met):
            case.outage.expected = runs


async def _answers(case: Case) -> bool:
    try:
        return await case.admin.call("GET", "/api/v1/namespaces/default") is not None
    except (aiohttp.ClientError, OSError, TimeoutError, Refused):
        return False


def _probe(name: str) -> Object:
    """A Deployment without pods, to see whether its controllers are there."""
    labels = {"probe": name}
    pod = {"containers": [{"name": "none", "image": "localhost/none"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


async def _is_taken_up(case: Case, probe: Object) -> bool:
    """Say whether both controllers of a rollout have noted a new Deployment."""
    name = probe["metadata"]["name"]
    found = await case.admin.list("ReplicaSet", "default", labels=f"probe={name}")
    return any(each.get("status", {}).get("observedGeneration") for each in found)


async def trials(references: References, beginnings: Sequence[str]) -> list[Trial]:
    """Return the cases of both outages."""
    del beginnings
    cluster = references.rig.cluster
    return [
        trial(story, outage, restarts=restarts)
        for outage in (Outage("apiserver", 180.0, cluster), Outage("etcd", 0.0, cluster))
        for restarts, some in ((False, STORIES), (True, STORIES[:1]))
        for story in some
    ]


def trial(story: Story, outage: Outage, *, restarts: bool) -> Trial:
    """Return the case in which an outage follows a story's change.

    `restarts`: the operator is killed in the middle of it, and comes back to nobody.
    """

    async def disturb(case: Case, _: Operator) -> None:
        await outage.meet()
        await asyncio.sleep(chance(case.seed, story.name) * SPREAD_S)

    async def after(case: Case, operator: Operator) -> list[str]:
        began, starts = time.monotonic(), operator.process.starts
        happening = asyncio.create_task(outage.happen(case))
        if restarts:
            await asyncio.sleep(SPREAD_S + outage.down_for_s / 2)
            await operator.process.kill()
        back = await happening
        operator.disturbed = back.acts
        if not await case.is_collected():
            await eventually("all is collected", case.is_collected, within_s=COLLECTED_S)
            operator.disturb()
        asked = sum(began < entry.began < back.answers for entry in operator.proxy.record.entries)
        wrong = []
        if operator.process.starts - starts != int(restarts):
            wrong.append(f"started {operator.process.starts - starts} times in the outage")
        if asked > REQUESTS_PER_S * (back.answers - began):
            wrong.append(f"{asked} requests in an outage of {back.answers - began:.0f} s")
        return wrong

    name = f"{outage.program}/{story.name}{'-restarted' if restarts else ''}"
    return Met(name, story, disturb, after=after, outage=outage)
