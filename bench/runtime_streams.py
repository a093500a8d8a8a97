"""Streams at the pace of a model: how much later the first text comes, and whether all of it does.

A stream is held for as long as the model talks. Looking for data about people holds back a word
until its end is known, so that is measured apart, with the restoring of a caller's own data.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bench import client, litellm_proxy, processes, report, runtime_config

CHUNKS = 64
TEXT = " ".join(f"word{number % 10}" for number in range(CHUNKS))
ADDRESS = "bob@example.com"
SIDES = ("direct", "runtime", "with PII restored", "litellm")


def measure(
    options: argparse.Namespace, folder: Path, litellm: Path | None, why: str
) -> report.Table:
    """Measure all sides in turn, against one simulator."""
    who, seen = runtime_config.caller(), defaultdict[str, list[float]](list)
    talk = {"answers": _script(options.pause)}
    with processes.simulator(talk) as (simulator, _), processes.redis() as redis:
        for _ in range(options.runs):
            for name in SIDES if litellm else SIDES[:-1]:
                order = _order(name, options, who)
                if name == "direct":
                    _note(name, client.measure(client.at(order, port=simulator)), seen)
                    continue
                with _serving(name, folder, who, simulator, redis, litellm) as (port, pid):
                    before_s = processes.cpu_s(pid)
                    found = client.measure(client.at(order, port=port))
                    cpu_us = (processes.cpu_s(pid) - before_s) / (2 * options.streams * CHUNKS)
                    seen[f"{name} cpu"].append(cpu_us * 1e6)
                    seen[f"{name} memory"].append(processes.rss_mb(pid, peak=True))
                    _note(name, found, seen)
    load = (
        f"{options.streams} streams of {CHUNKS} chunks, one each {options.pause:g} s, each followed"
        " by a second one; API keys, sessions in Redis, metrics; litellm "
        + (f"{litellm_proxy.VERSION}" if litellm else why)
    )
    return report.Table("runtime: paced streams", load, tuple(_rows(seen)))


def _script(pause_s: float) -> dict[str, Any]:
    latency = {"perTokenSeconds": pause_s}
    echo = {"match": "my mail is", "answer": f"{{message}} {TEXT}", "latency": latency}
    return {"default": TEXT, "latency": latency, "rules": [echo]}


def _order(name: str, options: argparse.Namespace, who: runtime_config.Caller) -> client.Order:
    more: dict[str, Any] = {"chunks": CHUNKS}
    text = runtime_config.PLAIN
    if name == "with PII restored":
        text, more = f"my mail is {ADDRESS}", {"chunks": 0, "expected": ADDRESS}
    body = runtime_config.question(text, stream=True)
    sessions = 2 * options.streams
    if name == "direct":
        body, headers, sessions = body | {"model": runtime_config.MODEL}, {}, 0
    elif name == "litellm":
        headers, sessions = {"authorization": f"Bearer {litellm_proxy.KEY}"}, 0
    else:
        headers = who.headers
    return client.Order(
        0, body, headers, sessions, mode="streams", in_flight=options.streams,
        ramp_s=CHUNKS * options.pause / 4, **more,
    )  # fmt: skip


def _serving(
    name: str,
    folder: Path,
    who: runtime_config.Caller,
    simulator: int,
    redis: int,
    litellm: Path | None,
) -> AbstractContextManager[tuple[int, int]]:
    if name == "litellm" and litellm is not None:
        return litellm_proxy.serving(litellm, simulator, folder)
    document = runtime_config.proxied(
        folder, who, simulator_port=simulator, redis_port=redis, pii=name != "runtime"
    )
    return processes.runtime(runtime_config.write(folder, "streams", document))


def _note(name: str, found: client.Figures, seen: dict[str, list[float]]) -> None:
    for p in ("p50", "p99"):
        value = getattr(found, p)
        seen[f"{name} {p}"].append(value if name == "direct" else value - seen[f"direct {p}"][-1])
    seen[f"{name} lost"].append(found.lost + found.bad)
    seen[f"{name} held"].append(found.held)


def _rows(seen: dict[str, list[float]]) -> Iterator[report.Row]:
    yield report.row("simulator asked directly, first text, p99", "ms", seen["direct p99"])
    yield report.row("simulator asked directly, frames lost", "1", seen["direct lost"])
    for name in SIDES[1:]:
        if not seen[f"{name} p99"]:
            continue
        ours = name == "runtime"
        for p in ("p50", "p99"):
            goal = "<= 3" if ours and p == "p99" else ""
            what = f"{name}: added to the first text, {p}"
            yield report.row(what, "ms", seen[f"{name} {p}"], compared_with=goal)
        lost = seen[f"{name} lost"]
        yield report.row(f"{name}: frames lost", "1", lost, compared_with="0" if ours else "")
        held = seen[f"{name} held"]
        yield report.row(f"{name}: streams held", "1", held, compared_with="500" if ours else "")
        yield report.row(f"{name}: CPU of a chunk", "us", seen[f"{name} cpu"])
        yield report.row(f"{name}: memory, at most", "MB", seen[f"{name} memory"])
