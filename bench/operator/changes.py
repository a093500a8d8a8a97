"""From a change of a spec to the first write of a child, while many systems stand.

The cluster's controllers work at upstream's rate, and have caught up before each drive with what
was before it. Both moments are the apiserver's: when it had answered the change, and when the
operator's first write to a child of that system came in. Then half as many changes a second,
without and with one hot system beside the others that is edited ten times a second: with all of
them at once two cores have more to do than they can, and would say nothing about who waits for
whom.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bench import report
from bench.operator import population, stage
from bench.operator.population import Population, place
from bench.operator.stage import Running, Stage
from bench.report import Table
from tests import audit, builders
from tests.kube import eventually

WITHIN_S = 600.0
PER_SECOND = 20
BESIDE_PER_SECOND = 10
HOT_PER_SECOND = 10
DRAIN_S = 20.0
ADMIN = "devcluster-admin"
CONTROLLER = "system:serviceaccount:kube-system:deployment-controller"


def run(options: argparse.Namespace) -> Iterator[Table]:
    """Change systems in turn at a steady rate, without and with a hot one."""
    seconds = options.minutes * 60
    qps = stage.UPSTREAM_QPS
    described = (
        f"{options.systems} systems, replicas 0, changes for {seconds:g} s each;"
        f" {stage.described(options, controller_qps=qps)}"
    )
    with stage.scaled(options, controller_qps=qps) as setting, setting.operator() as running:
        asyncio.run(_create(setting, options.systems))
        load = _Load(setting, running, options.systems, seconds)
        busy = _rows(
            f"change to first child write, {PER_SECOND} changes/s",
            load.drive(PER_SECOND, hot=False),
        )
        yield Table("operator: latency of changes", described, busy)
        calm = load.drive(BESIDE_PER_SECOND, hot=False)
        beside = load.drive(BESIDE_PER_SECOND, hot=True)
    rows = (
        *_rows(f"change to first child write, {BESIDE_PER_SECOND} changes/s", calm),
        *_rows("the same beside a hot system", beside),
        report.row(
            "p99 beside a hot system, ratio",
            "1",
            [report.percentile(beside, 0.99) / report.percentile(calm, 0.99)],
        ),
    )
    hot = f"{described}; hot: one more, {HOT_PER_SECOND} changes/s"
    yield Table("operator: latency of changes beside a hot system", hot, rows)


def _rows(what: str, samples: list[float]) -> tuple[report.Row, ...]:
    figures = [
        report.row(f"{what}, p{percent}", "s", [report.percentile(samples, percent / 100)])
        for percent in (50, 95, 99)
    ]
    return (*figures, report.row(f"{what}, changes measured", "1", [len(samples)]))


async def _create(setting: Stage, systems: int) -> None:
    async with population.population(setting.kube) as people:
        people.make_room(systems + 1)
        await people.create(range(systems + 1), replicas=0)
        await people.settled(systems + 1, within_s=WITHIN_S)


@dataclass(slots=True)
class _Load:
    """People who change systems, no two times in the same way."""

    setting: Stage
    running: Running
    systems: int
    seconds: float
    editions: Iterator[int] = field(default_factory=itertools.count)

    def drive(self, rate: int, *, hot: bool) -> list[float]:
        """Return the seconds from each change to the first child write, the hot system's aside."""
        self._await_rest()
        start = audit.log(self.setting.name).stat().st_size
        asyncio.run(self._change_all(rate, hot=hot))
        return _latencies(self.setting, start, aside={place(self.systems)})

    def _await_rest(self) -> None:
        """Wait for the controller that has most to do for a Deployment, and for the operator."""
        eventually(
            "the Deployment controller is idle",
            lambda: not audit.restless(self.setting.name, user=CONTROLLER, for_s=10),
            within_s=WITHIN_S,
            every_s=5,
        )
        eventually("the operator is idle", self.running.is_idle, within_s=WITHIN_S)

    async def _change_all(self, rate: int, *, hot: bool) -> None:
        async with population.population(self.setting.kube) as people, asyncio.TaskGroup() as group:
            group.create_task(self._steady(people, range(self.systems), rate))
            if hot:
                group.create_task(self._steady(people, [self.systems], HOT_PER_SECOND))
        await asyncio.sleep(DRAIN_S)

    async def _steady(self, people: Population, numbers: Sequence[int], rate: int) -> None:
        """Change systems in turn, so many a second; late changes are sent at once."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for turn in range(int(rate * self.seconds)):
                await asyncio.sleep(max(0.0, began + turn / rate - time.monotonic()))
                group.create_task(self._change(people, numbers[turn % len(numbers)]))

    async def _change(self, people: Population, number: int) -> None:
        said = f"You are front, edition {next(self.editions)}."
        await people.edit(number, {"agents": [builders.agent(replicas=0, instructions=said)]})


def _latencies(setting: Stage, start: int, *, aside: set[tuple[str, str]]) -> list[float]:
    changed: dict[tuple[str, str], list[datetime]] = {}
    for request in audit.requests(setting.name, user=ADMIN, start=start):
        key = (request.name, request.namespace)
        if (request.verb, request.resource) == ("patch", "agentsystems") and key not in aside:
            changed.setdefault(key, []).append(request.at)
    written: dict[tuple[str, str], list[datetime]] = {}
    for request in audit.requests(setting.name, user=stage.USER, start=start):
        if request.verb == "patch" and not request.resource.startswith("agentsystems"):
            key = (request.name.partition("--")[0], request.namespace)
            written.setdefault(key, []).append(request.received)
    return [
        _first_after(moment, sorted(written.get(key, [])))
        for key, moments in changed.items()
        for moment in moments
    ]


def _first_after(moment: datetime, writes: list[datetime]) -> float:
    """Return the seconds to the first write after a moment; infinite when there is none."""
    return next(((w - moment).total_seconds() for w in writes if w > moment), float("inf"))
