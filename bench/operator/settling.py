"""How long many new systems take, and then, once, the same with three agents each.

Operator and cluster are timed apart. The operator is done when every child is applied and every
status current; it shares the machine with a cluster whose controllers work at upstream's rate.
Baseline of the same run: the children that it makes, applied by a client that does nothing else,
in a cluster of its own whose controllers have nothing else to do either: what this apiserver can
take. The cluster is done when every pod of every system is available; that depends on the
controllers' rate, so it is timed once, with fast ones.
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
from bench.operator.stage import Stage
from bench.report import Table
from tests import builders

WITHIN_S = 600.0
AGENTS = ("front", "research", "writer")


@dataclass
class Figures:
    """What the runs gave, one entry per run."""

    created_s: list[float] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)
    bare_s: list[float] = field(default_factory=list)
    grown_s: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def run(options: argparse.Namespace) -> Iterator[Table]:
    """Create the systems several times, each time in a new cluster."""
    yield _operator(options)
    yield _cluster(options)


def _operator(options: argparse.Namespace) -> Table:
    figures = Figures()
    for number in range(options.runs):
        with stage.scaled(options, controller_qps=stage.UPSTREAM_QPS) as setting:
            asyncio.run(_apply(setting, options.systems, figures))
        with stage.scaled(options, controller_qps=stage.UPSTREAM_QPS) as setting:
            asyncio.run(_create_all(setting, options.systems, figures, grows=number == 0))
    rows = (
        report.row("all settled for the operator", "s", figures.created_s),
        report.row("the same children by a bare client", "s", figures.bare_s, compared_with="base"),
        report.row("ratio to the bare client", "1", figures.ratio),
        report.row("1 -> 3 agents each, settled for the operator", "s", figures.grown_s),
        report.row("operator's processor time per new system", "ms", figures.cpu_ms),
    )
    load = f"{options.systems} systems at once, 1 replica; "
    load += stage.described(options, controller_qps=stage.UPSTREAM_QPS)
    return Table("operator: many systems", load, rows)


def _cluster(options: argparse.Namespace) -> Table:
    created, available = list[float](), list[float]()
    with stage.scaled(options) as setting:
        asyncio.run(_create_and_run(setting, options.systems, created, available))
    rows = (
        report.row("all settled for the operator", "s", created),
        report.row("all settled for the cluster (every pod available)", "s", available),
    )
    load = f"{options.systems} systems at once, 1 replica; {stage.described(options)}"
    return Table("operator: many systems, with the cluster's own work", load, rows)


async def _apply(setting: Stage, systems: int, figures: Figures) -> None:
    async with population.population(setting.kube) as people:
        people.make_room(systems)
        with setting.operator():
            await _create(people, 1)  # its children are what is copied
        figures.bare_s.append(await bare.seconds(people, systems))


async def _create_all(setting: Stage, systems: int, figures: Figures, *, grows: bool) -> None:
    async with population.population(setting.kube) as people:
        people.make_room(systems)
        with setting.operator() as running:
            cpu = running.cpu_s
            created = await _create(people, systems)
            figures.cpu_ms.append((running.cpu_s - cpu) / systems * 1e3)
            figures.created_s.append(created)
            figures.ratio.append(created / figures.bare_s[-1])
            if grows:
                figures.grown_s.append(await _grow(people, systems))


async def _create_and_run(
    setting: Stage, systems: int, created: list[float], available: list[float]
) -> None:
    async with population.population(setting.kube) as people:
        people.make_room(systems)
        with setting.operator():
            began = time.monotonic()
            created.append(await _create(people, systems))
            available.append(await people.ready(systems, within_s=WITHIN_S) - began)


async def _create(people: Population, systems: int) -> float:
    """Return the seconds from the first creation until all systems are settled."""
    began = time.monotonic()
    await people.create(range(systems))
    return await people.settled(systems, within_s=WITHIN_S) - began


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
