"""How many plain answers a second the provider simulator gives, and what one costs it.

A benchmark of anything that talks to it means little near that figure. The server is pinned to
one core and the client (wrk, which `make bench` installs) to another.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from bench import report, runtime


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
    port, control = runtime.free_port(), runtime.free_port()
    command = [sys.executable, "-m", "agent_runtime", "simulate", "--host", "127.0.0.1"]
    ports = ["--port", str(port), "--control-port", str(control)]
    for _ in range(options.runs):
        with runtime.serving([*command, *ports], port) as pid:
            before_s = cpu_s(pid)
            rates.append(runtime.drive(port, options.in_flight, options.seconds)[0])
            costs.append((cpu_s(pid) - before_s) / (rates[-1] * options.seconds) * 1e6)
            memory.append(runtime.rss_mb(pid))
    rows = (
        report.row("requests/s, plain answer", "1/s", rates),
        report.row("CPU time of one", "us", costs),
        report.row("memory after the run", "MB", memory),
    )
    load = f"{options.in_flight} in flight, {options.seconds:g} s a run, server on one core"
    yield report.Table("simulator: chat completions", load, rows)


def cpu_s(pid: int) -> float:
    """The CPU time that a process has used."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
