"""What a settled world costs: the operator's requests and processor time while nothing happens."""

from __future__ import annotations

import argparse
import asyncio
import collections
import time
from collections.abc import Iterator

from bench import report
from bench.operator import population, stage
from bench.operator.stage import Running, Stage
from bench.report import Table
from tests import audit
from tests.kube import eventually

WITHIN_S = 600.0
SETTLE_S = 30.0


def run(options: argparse.Namespace) -> Iterator[Table]:
    """Count at a tenth of the systems, then at all of them."""
    few, many = max(1, options.systems // 10), options.systems
    rows: list[report.Row] = []
    with stage.scaled(options) as setting, setting.operator() as running:
        for before, size in ((0, few), (few, many)):
            asyncio.run(_create(setting, before, size))
            eventually("the operator is idle", running.is_idle, within_s=WITHIN_S)
            time.sleep(SETTLE_S)
            rows += _at_rest(setting, running, size, options.rest)
    load = f"{options.rest} s each, 1 replica; {stage.described(options)}"
    yield Table("operator: a settled world", load, tuple(rows))


async def _create(setting: Stage, before: int, size: int) -> None:
    async with population.population(setting.kube) as people:
        people.make_room(size)
        await people.create(range(before, size))
        await people.ready(size, within_s=WITHIN_S)


def _at_rest(setting: Stage, running: Running, size: int, for_s: int) -> list[report.Row]:
    start, cpu = audit.log(setting.name).stat().st_size, running.cpu_s
    print(f"{size} systems at rest; counting for {for_s} s", flush=True)
    time.sleep(for_s)
    asked = audit.restless(setting.name, user=stage.USER, for_s=for_s, start=start)
    for what, count in collections.Counter(f"{r.verb} {r.resource}" for r in asked).items():
        print(f"  at rest: {count} x {what}", flush=True)
    share = (running.cpu_s - cpu) / for_s * 100
    return [
        report.row(f"requests at rest, {size} systems", "1", [len(asked)]),
        report.row(f"processor at rest, {size} systems, of one core", "%", [share]),
    ]
