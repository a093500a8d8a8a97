"""Answers of a provider, with everything on: what the runtime adds, and what it carries.

Callers with API keys, sessions, a budget, data about people masked and restored, metrics.
"""

from __future__ import annotations

import argparse
import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import client, litellm_proxy, processes, report, runtime_config

BOUND_MS = 100.0  # the highest rate is the one with a p99 below
STEPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4)  # of what a closed loop reaches
CLOSED = 16  # clients that keep one core busy

Seen = dict[str, list[float]]


@dataclass(frozen=True)
class Side:
    """One of those that are measured in turn."""

    name: str
    serve: Callable[[], contextlib.AbstractContextManager[tuple[int, int]]]
    headers: dict[str, str]
    sessions: int


def measure(
    options: argparse.Namespace, folder: Path, litellm: Path | None, why: str
) -> report.Table:
    """Measure all sides in turn, against one simulator."""
    seen: Seen = defaultdict(list)
    with processes.simulator() as (simulator, simulator_pid), processes.redis() as redis:
        sides = list(_sides(folder, simulator, redis, litellm))
        for _ in range(options.runs):
            direct = client.Order(simulator, runtime_config.as_the_provider_sees_it())
            _direct(direct, options.seconds, simulator_pid, seen)
            for side in sides:
                with side.serve() as (port, pid):
                    _side(side, port, pid, options, seen)
    rows = [*_rows_of_the_provider(seen)]
    for side in sides:
        rows += _rows_of(side.name, seen)
    load = (
        f"{options.seconds:g} s each; API keys, sessions, budget, PII masked and restored, "
        "metrics; server on one core, client, simulator and Redis on another; litellm "
        + (f"{litellm_proxy.VERSION}: a master key, and nothing else of these" if litellm else why)
    )
    return report.Table("runtime: proxied, everything on", load, tuple(rows))


def _sides(folder: Path, simulator: int, redis: int, litellm: Path | None) -> Iterator[Side]:
    who = runtime_config.caller()
    for name, port in (("Redis", redis), ("memory", None)):
        document = runtime_config.proxied(folder, who, simulator_port=simulator, redis_port=port)
        config = runtime_config.write(folder, f"proxied-{name}", document)
        yield Side(
            f"sessions in {name}",
            lambda config=config: processes.runtime(config),  # type: ignore[misc]
            who.headers,
            runtime_config.SESSIONS,
        )
    if litellm is not None:
        headers = {"authorization": f"Bearer {litellm_proxy.KEY}"}
        yield Side("litellm", lambda: litellm_proxy.serving(litellm, simulator, folder), headers, 0)


def _direct(order: client.Order, seconds: float, pid: int, seen: Seen) -> None:
    """Measure the provider alone: its latency, and the rate at which it would be in the way."""
    one = client.measure(client.at(order, seconds=seconds))
    for name in ("p50", "p95", "p99"):
        seen[f"direct {name}"].append(getattr(one, name))
    many, cpu_us = client.measure_with_cpu(client.at(order, in_flight=CLOSED, seconds=seconds), pid)
    seen["direct ceiling"].append(many.per_second)
    seen["direct cpu"].append(cpu_us)
    seen["direct bad"].append(one.bad + many.bad)


def _side(side: Side, port: int, pid: int, options: argparse.Namespace, seen: Seen) -> None:
    def note(what: str, value: float) -> None:
        seen[f"{side.name} {what}"].append(value)

    order = client.Order(
        port, runtime_config.question(), side.headers, side.sessions, seconds=options.seconds
    )
    # the sessions are full before anything counts, and everything has been compiled
    closed = client.measure(client.at(order, in_flight=CLOSED, seconds=max(2.0, options.seconds)))
    one = client.measure(order)
    highest = _highest(order, closed.per_second, options.seconds)
    half, cpu_us = client.measure_with_cpu(
        client.at(order, mode="open", per_second=max(highest / 2, 1.0)), pid
    )
    crowd = client.measure(client.at(order, in_flight=options.clients))
    for name in ("p50", "p95", "p99"):
        direct = seen[f"direct {name}"][-1]
        note(f"1 {name}", getattr(one, name) - direct)
        note(f"half {name}", getattr(half, name) - direct)
    note("highest", highest)
    note("cpu", cpu_us)
    note("memory", processes.rss_mb(pid, peak=True))
    note("bad", closed.bad + one.bad + half.bad + crowd.bad)


def _highest(order: client.Order, guess: float, seconds: float) -> float:
    """Return the highest rate of an open loop that is answered with p99 below the bound."""
    for step in STEPS:
        found = client.measure(
            client.at(order, mode="open", per_second=max(1.0, guess * step), seconds=seconds)
        )
        if not found.bad and found.p99 <= BOUND_MS:
            return found.per_second
    return 0.0


def _rows_of_the_provider(seen: Seen) -> Iterator[report.Row]:
    for name in ("p50", "p99"):
        yield report.row(f"simulator asked directly, {name}", "ms", seen[f"direct {name}"])
    yield report.row(
        "simulator's ceiling, with the client on its core", "1/s", seen["direct ceiling"],
        compared_with="not in the way",
    )  # fmt: skip
    yield report.row("simulator, CPU of a request", "us", seen["direct cpu"])


def _rows_of(name: str, seen: Seen) -> Iterator[report.Row]:
    goals = {"1 p99": "<= 1.5", "half p99": "<= 5"} if name != "litellm" else {}
    for load, text in (("1", "1 in flight"), ("half", "half load")):
        for p in ("p50", "p95", "p99"):
            yield report.row(
                f"{name}: added at {text}, {p}", "ms", seen[f"{name} {load} {p}"],
                compared_with=goals.get(f"{load} {p}", ""),
            )  # fmt: skip
    yield report.row(
        f"{name}: highest rate with p99 <= {BOUND_MS:g} ms", "1/s", seen[f"{name} highest"],
        compared_with=">= 1000" if goals else "",
    )  # fmt: skip
    yield report.row(f"{name}: CPU of a request", "us", seen[f"{name} cpu"])
    yield report.row(
        f"{name}: memory, at most", "MB", seen[f"{name} memory"],
        compared_with="<= 150" if goals else "",
    )  # fmt: skip
    yield report.row(f"{name}: answers that were no 200", "1", seen[f"{name} bad"])
