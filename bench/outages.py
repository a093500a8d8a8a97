"""What clients notice of a provider's outage when there is a fallback, at 100 requests a second.

A real `agent-runtime serve` on one core; the simulator, which plays both providers and fails as the
first, and the client on the other. Half of the requests are streams; where a fault strikes in the
middle of an answer, all are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from agent_runtime.cost import money
from bench import processes, report
from tests import ports
from tests.contract.runtime import charges, outages

HEAD = (
    "outage", "asked", "whole answers", "error frames", "slowest", "answers billed",
    "billed, USD", "charged for answers, USD", "in the ledger, USD",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m bench outages`."""
    parser.add_argument("--seconds", type=float, default=10, help="length of each (default 10)")
    parser.add_argument("--rate", type=int, default=100, help="requests a second (default 100)")


def run(options: argparse.Namespace) -> Iterator[report.Grid]:
    """Each outage, with a runtime of its own."""
    faults = [
        *((name, fault, True) for name, fault in outages.WHOLE.items()),
        *((f"{name}, in mid-stream", fault, False) for name, fault in outages.MIDWAY.items()),
    ]
    lines = tuple(_line(options, *each) for each in faults)
    load = (
        f"{options.rate} requests a second for {options.seconds:g} s each;"
        f" {outages.FAILS_AFTER_S:g} s for the provider that fails; runtime on one core"
    )
    yield report.Grid("runtime: a provider's outage, with a fallback", load, HEAD, lines)


def _line(
    options: argparse.Namespace, name: str, fault: dict[str, Any], plain: bool
) -> tuple[str, ...]:
    control_port, metrics_port = ports.free(), ports.free()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        control = {"rules": [outages.rule(fault)]}
        with processes.simulator(control, control_port=control_port) as (port, _):
            url = f"http://127.0.0.1:{port}"
            document = outages.config(url, place, "OpenAI", "Anthropic")
            document["budget"] = outages.BUDGET
            file = place / "config.json"
            file.write_text(json.dumps(document))
            with processes.runtime(file, metrics_port=metrics_port) as (served, _):
                at = (control_port, metrics_port)
                asked = _measured(f"http://127.0.0.1:{served}", at, options, plain=plain)
                told, counts, metrics = asyncio.run(asked)
    return (
        name,
        str(sum(told.outcomes.values())),
        str(told.answered),
        str(told.outcomes["error frame"]),
        f"{told.slowest_s:.2f} s",
        str(counts["completed"]),
        money.usd(charges.billed(counts)),
        money.usd(charges.reported(metrics)),
        money.usd(charges.settled(metrics)),
    )


async def _measured(
    url: str, at: tuple[int, int], options: argparse.Namespace, *, plain: bool
) -> tuple[outages.Told, dict[str, Any], str]:
    """Return how requests ended, what the simulator counted, and the runtime's metrics."""
    told = await outages.load(url, options.seconds, per_second=options.rate, plain=plain)
    counts, metrics = (f"http://127.0.0.1:{port}" for port in at)
    async with aiohttp.ClientSession() as http:

        async def read() -> str:
            async with http.get(f"{metrics}/metrics") as answer:
                return await answer.text()

        async with http.get(f"{counts}/control/counts") as answer:
            return told, await answer.json(), await charges.when_settled(read)
