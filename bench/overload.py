"""Three times more requests than a process can answer, each twentieth of them a VIP's.

A real `agent-runtime serve` on one core, with API keys, a bounded number of slots and scripted
answers that take a while; an open-loop client on another core: it sends at its own pace, whatever
the server does. What is refused, how fast, and whether memory stays flat.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from agent_runtime.guard import api_keys
from agent_runtime.guard.principal import Priority, Role
from bench import processes, report, runtime_config

VIP_EVERY = 20
TENANTS = 7
BODY = {"messages": [{"role": "user", "content": "hello"}]}


@dataclass(frozen=True)
class Answer:
    """How one request ended."""

    kind: str
    seconds: float
    at: float


@dataclass(frozen=True)
class Crowd:
    """All answers, in no order."""

    answers: list[Answer]

    @property
    def calm(self) -> bool:
        """Whether everybody was served."""
        return all(answer.kind.endswith("200") for answer in self.answers)

    def seconds(self, *kinds: str) -> list[float]:
        """How long answers of these kinds took; at least one figure."""
        return [a.seconds for a in self.answers if a.kind in kinds] or [float("nan")]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m bench overload`."""
    parser.add_argument("--seconds", type=float, default=60, help="length of the crowd")
    parser.add_argument("--slots", type=int, default=20, help="requests answered at once")
    parser.add_argument("--service", type=float, default=0.2, help="seconds that an answer takes")


def run(options: argparse.Namespace) -> Iterator[report.Table]:
    """A calm moment, the crowd, and the ten seconds after it."""
    capacity = options.slots / options.service
    with tempfile.TemporaryDirectory() as folder:
        keys, document = guarded(Path(folder), slots=options.slots, service_s=options.service)
        file = Path(folder) / "config.json"
        file.write_text(json.dumps(document))
        os.sched_setaffinity(0, {processes.CLIENT_CORE})
        with processes.runtime(file) as (port, pid):
            url = f"http://127.0.0.1:{port}"
            asyncio.run(drive(url, keys, per_second=capacity / 2, seconds=10))
            before = processes.rss_mb(pid)
            crowd = asyncio.run(drive(url, keys, per_second=3 * capacity, seconds=options.seconds))
            grown = processes.rss_mb(pid) / before
            after = asyncio.run(drive(url, keys, per_second=capacity / 2, seconds=10))
    yield _table(options, crowd, after, grown)


def _table(options: argparse.Namespace, crowd: Crowd, after: Crowd, grown: float) -> report.Table:
    capacity = options.slots / options.service
    vip, refused = crowd.seconds("vip 200"), crowd.seconds("other 429")
    served = sum(answer.kind.endswith("200") for answer in crowd.answers)
    unserved = [answer.at for answer in after.answers if not answer.kind.endswith("200")]
    rows = (
        report.row("VIP, p99", "s", [report.percentile(vip, 0.99)], compared_with="<= 2"),
        report.row("VIP, not served", "1", [_not_served(crowd)], compared_with="0"),
        report.row("others, refused after, p99", "ms", [report.percentile(refused, 0.99) * 1e3]),
        report.row("others, refused after, slowest", "ms", [max(refused) * 1e3],
                   compared_with="<= 50"),
        report.row("others, served, p99", "s",
                   [report.percentile(crowd.seconds("other 200"), 0.99)]),
        report.row("served, of what can be", "1", [served / (capacity * options.seconds)]),
        report.row("memory, after to before", "1", [grown], compared_with="<= 1.1"),
        report.row("last one refused after the crowd", "s", [max(unserved, default=0.0)],
                   compared_with="<= 10"),
    )  # fmt: skip
    load = (
        f"{3 * capacity:g} requests/s for {options.seconds:g} s, 1 in {VIP_EVERY} a VIP's;"
        f" {options.slots} slots of {options.service:g} s serve {capacity:g}/s"
    )
    return report.Table("overload", load, rows)


def _not_served(crowd: Crowd) -> float:
    return sum(a.kind.startswith("vip") and a.kind != "vip 200" for a in crowd.answers)


def guarded(folder: Path, *, slots: int, service_s: float) -> tuple[list[str], dict[str, Any]]:
    """Return keys, the VIP's first, and the config of a process that takes them."""
    names = ["vip", *(f"t{number}" for number in range(TENANTS))]
    made = [_key(name, "VIP" if name == "vip" else "Normal") for name in names]
    file = folder / "callers"
    file.write_text("\n".join(line for _, line in made))
    script = f"default: hello\nlatency: {{firstTokenSeconds: {service_s}}}\n"
    guard = {
        "auth": {"type": "APIKey", "apiKeys": {"file": str(file)}},
        "limits": {"concurrentRequests": slots},
    }
    canned = {"name": "canned", "type": "Scripted", "scripted": {"answers": script}}
    document = {**runtime_config.CANNED, "contract": "v1.1", "providers": [canned], "guard": guard}
    return [key for key, _ in made], document


def _key(name: str, priority: str) -> tuple[str, str]:
    return api_keys.make(name, tenant=name, roles=[Role.CHAT], priority=Priority(priority))


async def drive(url: str, keys: list[str], *, per_second: float, seconds: float) -> Crowd:
    """Send so many requests a second, whether or not the ones before have been answered."""
    answers: list[Answer] = []
    connector = aiohttp.TCPConnector(limit=2000)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        began = time.perf_counter()

        async def one(number: int) -> None:
            vip = number % VIP_EVERY == 0
            key = keys[0] if vip else keys[1 + number % (len(keys) - 1)]
            sent = time.perf_counter()
            async with http.post(
                f"{url}/v1/chat/completions", json=BODY, headers={"authorization": f"Bearer {key}"}
            ) as response:
                await response.read()
                now = time.perf_counter()
                kind = f"{'vip' if vip else 'other'} {response.status}"
            answers.append(Answer(kind, now - sent, sent - began))

        async with asyncio.TaskGroup() as group:
            for number in range(int(per_second * seconds)):
                await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
                group.create_task(one(number))
    return Crowd(answers)
