"""Answers from the cache: how many a second one core gives."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import client, processes, report, runtime_config
from tests import ports

IN_FLIGHT = 32


def measure(
    options: argparse.Namespace, folder: Path, _litellm: Path | None, _why: str
) -> report.Table:
    """Measure floor and runtime in turn."""
    who, seen = runtime_config.caller(), defaultdict[str, list[float]](list)
    config = runtime_config.write(folder, "hits", runtime_config.hits(folder, who))
    body = runtime_config.question(runtime_config.PLAIN)
    for _ in range(options.runs):
        with floor() as (port, pid):
            _load("floor", client.Order(port, body, who.headers), options, pid, seen)
        with processes.runtime(config) as (port, pid):
            _load("ours", client.Order(port, body, who.headers), options, pid, seen)
            seen["memory"].append(processes.rss_mb(pid))
    added = [a - b for a, b in zip(seen["ours p99"], seen["floor p99"], strict=True)]
    rows = (
        report.row("requests/s, from the cache", "1/s", seen["ours"], compared_with=">= 10000"),
        report.row("requests/s, bare ASGI app", "1/s", seen["floor"], compared_with="the floor"),
        report.row("CPU of a request", "us", seen["ours cpu"]),
        report.row("CPU of a request, bare ASGI app", "us", seen["floor cpu"]),
        report.row("p99 at 1 in flight, above the floor's", "ms", added),
        report.row("memory after the run", "MB", seen["memory"]),
        report.row("answers that were no 200", "1", seen["bad"], compared_with="0"),
    )
    load = f"{IN_FLIGHT} in flight, {options.seconds:g} s each, API keys, server on one core"
    return report.Table("runtime: answers from the cache", load, rows)


def _load(
    name: str,
    order: client.Order,
    options: argparse.Namespace,
    pid: int,
    seen: dict[str, list[float]],
) -> None:
    one = client.measure(client.at(order, in_flight=1, seconds=options.seconds))
    seen[f"{name} p99"].append(one.p99)
    many, cpu_us = client.measure_with_cpu(
        client.at(order, in_flight=IN_FLIGHT, seconds=options.seconds), pid
    )
    seen[name].append(many.per_second)
    seen[f"{name} cpu"].append(cpu_us)
    seen["bad"].append(one.bad + many.bad)


@contextmanager
def floor() -> Iterator[tuple[int, int]]:
    """The floor, on the server's core: its port and pid."""
    port = ports.free()
    with processes.serving([sys.executable, "-m", "bench.floor", str(port)], port) as pid:
        yield port, pid
