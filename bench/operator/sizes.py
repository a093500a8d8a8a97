"""Memory by the number of systems, and what a restart with them costs.

One process lives through all creations, so that what they leave behind counts; then a new one
starts with everything there: seconds until it has looked at every system, its writes (0 are
wanted) and its reads, watches aside, from the audit log.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench import report
from bench.operator import population, stage
from bench.operator.population import Population
from bench.operator.stage import Running, Stage
from bench.report import Table
from tests import audit
from tests.kube import eventually

WITHIN_S = 1800.0
REST_S = 15.0
"""Counts are written once after 10 s without movement; memory is read after that."""


@dataclass(frozen=True)
class Restart:
    """What one restart cost."""

    seconds: float
    writes: int
    reads: int
    rss_mb: float


def run(options: argparse.Namespace) -> Iterator[Table]:
    """Grow to each size, read the memory there, and restart."""
    sizes = sorted(int(size) for size in options.sizes.split(","))
    with stage.scaled(options) as setting:
        rows = asyncio.run(_rows(setting, sizes))
    load = f"replicas 0; {stage.described(options)}"
    yield Table("operator: memory and restart by size", load, tuple(rows))


async def _rows(setting: Stage, sizes: list[int]) -> list[report.Row]:
    rows = []
    async with population.population(setting.kube) as people:
        people.make_room(max(sizes))
        with setting.operator() as running:
            await asyncio.sleep(REST_S)
            rows.append(report.row("memory with 0 systems", "MB", [running.rss_mb]))
        before = 0
        for size in sizes:
            with setting.operator() as running:
                grown = await _grow(people, running, before, size)
            rows.append(report.row(f"memory after creating up to {size}", "MB", [grown]))
            restart = _restart(setting, size)
            rows += [
                report.row(f"memory after a restart with {size}", "MB", [restart.rss_mb]),
                report.row(f"restart with {size}: all looked at", "s", [restart.seconds]),
                report.row(f"restart with {size}: writes", "1", [restart.writes]),
                report.row(f"restart with {size}: reads", "1", [restart.reads]),
            ]
            before = size
    return rows


async def _grow(people: Population, running: Running, before: int, size: int) -> float:
    await people.create(range(before, size), replicas=0)
    await people.settled(size, within_s=WITHIN_S)
    eventually("the operator is idle", running.is_idle, within_s=WITHIN_S)
    await asyncio.sleep(REST_S)
    return running.rss_mb


def _restart(setting: Stage, size: int) -> Restart:
    start = audit.log(setting.name).stat().st_size
    with setting.operator() as running:
        eventually("each looked at", lambda: running.passes >= size, within_s=300, every_s=0.1)
        seconds = time.monotonic() - running.started
        time.sleep(REST_S)
        rss_mb = running.rss_mb
        asked = [
            request
            for request in audit.requests(setting.name, user=stage.USER, start=start)
            if request.resource != "leases" and request.verb != "watch"
        ]
    writes = sum(request.verb in audit.MUTATING for request in asked)
    return Restart(seconds, writes, len(asked) - writes, rss_mb)
