"""Whether memory grows with time: an hour of creations, edits and deletions at a steady number.

Growth is the median of the last sixth against the median of the second sixth; the first one is the
way to the steady number.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Iterator

from bench import report
from bench.operator import population, stage
from bench.operator.population import Population
from bench.operator.stage import Running, Stage
from bench.report import Table
from tests import builders

STANDING = 200
PER_SECOND = 1
"""Steps a second: each creates one system, edits one and deletes the oldest.

With three, an apiserver on two cores is busy all the time, and the hour would measure its backlog.
"""
SAMPLE_S = 10.0
WITHIN_S = 600.0


def run(options: argparse.Namespace) -> Iterator[Table]:
    """Churn and sample the memory."""
    with stage.scaled(options) as setting, setting.operator() as running:
        samples = asyncio.run(_churn(setting, running, options.churn * 60))
    sixth = max(1, len(samples) // 6)
    early, late = samples[sixth : 2 * sixth], samples[-sixth:]
    growth = (statistics.median(late) / statistics.median(early) - 1) * 100
    rows = (
        report.row("memory, second sixth", "MB", early),
        report.row("memory, last sixth", "MB", late),
        report.row("growth", "%", [growth]),
    )
    load = (
        f"{options.churn:g} min; {STANDING} systems stand, {PER_SECOND} a second is created,"
        f" one edited and one deleted; replicas 0; {stage.described(options)}"
    )
    yield Table("operator: growth under churn", load, rows)


async def _churn(setting: Stage, running: Running, seconds: float) -> list[float]:
    samples: list[float] = []
    async with population.population(setting.kube) as people:
        people.make_room(STANDING + int(seconds * PER_SECOND))
        await people.create(range(STANDING), replicas=0)
        await people.settled(STANDING, within_s=WITHIN_S)
        sampling = asyncio.create_task(_sample(running, samples))
        began = time.monotonic()
        for step in range(int(seconds * PER_SECOND)):
            await asyncio.sleep(max(0.0, began + step / PER_SECOND - time.monotonic()))
            await _step(people, step)
        sampling.cancel()
    return samples


async def _step(people: Population, step: int) -> None:
    newest = STANDING + step
    await people.delete([step])
    await people.create([newest], replicas=0)
    agent = builders.agent(replicas=0, instructions=f"You are front, edition {step}.")
    await people.edit(newest - STANDING // 2, {"agents": [agent]})


async def _sample(running: Running, samples: list[float]) -> None:
    while True:
        await asyncio.sleep(SAMPLE_S)
        samples.append(running.rss_mb)
