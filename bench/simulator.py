"""How many plain answers a second the provider simulator gives, and what one costs it.

A benchmark of anything that talks to it means little near that figure. The server is pinned to
one core and the client to another.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from bench import client, processes, report, runtime_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m bench simulator`."""
    parser.add_argument("--seconds", type=float, default=5, help="length of a run (default 5)")
    parser.add_argument("--runs", type=int, default=5, help="runs (default 5)")
    parser.add_argument("--in-flight", type=int, default=32, help="connections (default 32)")


def run(options: argparse.Namespace) -> Iterator[report.Table]:
    """Measure a simulator without orders."""
    rates: list[float] = []
    costs: list[float] = []
    memory: list[float] = []
    body = runtime_config.question("hello")
    for _ in range(options.runs):
        with processes.simulator(core=processes.SERVER_CORE) as (port, pid):
            order = client.Order(port, body, in_flight=options.in_flight, seconds=options.seconds)
            found, cpu_us = client.measure_with_cpu(order, pid)
            rates.append(found.per_second)
            costs.append(cpu_us)
            memory.append(processes.rss_mb(pid))
    rows = (
        report.row("requests/s, plain answer", "1/s", rates),
        report.row("CPU time of one", "us", costs),
        report.row("memory after the run", "MB", memory),
    )
    load = f"{options.in_flight} in flight, {options.seconds:g} s a run, server on one core"
    yield report.Table("simulator: chat completions", load, rows)
