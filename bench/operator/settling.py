"""How long many new systems take, and then the same with three agents each.

Baseline of the same run: the children that the operator makes, applied by a client that does
nothing else, under other names: what this apiserver can take. Operator and cluster are timed
apart: the operator is done when every child is applied and every status current, the cluster when
every pod of every system is available, which also depends on the controllers' rate.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench import report
from bench.operator import bare, population, stage
from bench.operator.population import Population
from bench.report import Table
from tests import builders

WITHIN_S = 600.0
AGENTS = ("front", "research", "writer")


@dataclass
class Figures:
    """What the runs gave, one entry per run."""

    created_s: list[float] = field(default_factory=list)
    ready_s: list[float] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)
    bare_s: list[float] = field(default_factory=list)
    grown_s: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def run(options: argparse.Namespace) -> Iterator[Table]:
    """Create, grow and remove the systems several times."""
    figures = Figures()
    with stage.scaled(options) as setting:
        for _ in range(options.runs):
            asyncio.run(_once(setting, options.systems, figures))
    rows = (
        report.row("all settled for the operator", "s", figures.created_s),
        report.row("the same children by a bare client", "s", figures.bare_s, compared_with="base"),
        report.row("ratio to the bare client", "1", figures.ratio),
        report.row("all settled for the cluster (every pod available)", "s", figures.ready_s),
        report.row("1 -> 3 agents each, settled for the operator", "s", figures.grown_s),
        report.row("operator's processor time per new system", "ms", figures.cpu_ms),
    )
    load = f"{options.systems} systems at once, 1 replica; {stage.described(options)}"
    yield Table("operator: many systems", load, rows)


async def _once(setting: stage.Stage, systems: int, figures: Figures) -> None:
    async with population.population(setting.kube) as people:
        people.make_room(systems)
        with setting.operator() as running:
            cpu, began = running.cpu_s, time.monotonic()
            await people.create(range(systems))
            created = await people.settled(systems, within_s=WITHIN_S) - began
            figures.cpu_ms.append((running.cpu_s - cpu) / systems * 1e3)
            figures.created_s.append(created)
            figures.ready_s.append(await people.ready(systems, within_s=WITHIN_S) - began)
            alone = await bare.seconds(people, systems)
            figures.bare_s.append(alone)
            figures.ratio.append(created / alone)
            figures.grown_s.append(await _grow(people, systems))
            await people.delete(range(systems))
            await people.gone(within_s=WITHIN_S)


async def _grow(people: Population, systems: int) -> float:
    """Return the seconds from the first edit until all systems with three agents are settled."""
    spec = {
        "agents": [builders.agent(name, replicas=1) for name in AGENTS],
        "workflow": {"entry": AGENTS[0]},
    }

    async def one(number: int) -> None:
        await people.edit(number, spec)

    began = time.monotonic()
    await people.each(range(systems), one)
    return await people.settled(systems, within_s=WITHIN_S) - began
