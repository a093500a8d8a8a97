"""What the runtime adds to a model's answer: latency, CPU, memory, and how much one core carries.

A real `agent-runtime serve` is pinned to one core; the client, the provider simulator and Redis
are on the other. In the same run: a bare ASGI app on the same server library (the floor), the
client at the simulator directly (what latency is added to), the simulator's own ceiling, and
litellm's proxy in front of the same simulator.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import litellm_proxy, report, runtime_hits, runtime_proxied, runtime_streams

PARTS = {"hits": runtime_hits, "proxied": runtime_proxied, "streams": runtime_streams}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m bench runtime`."""
    add = parser.add_argument
    add("--seconds", type=float, default=3, help="length of one measurement (default 3)")
    add("--runs", type=int, default=5, help="interleaved runs (default 5)")
    add("--streams", type=int, default=500, help="streams held at once (default 500)")
    add("--clients", type=int, default=1000, help="clients for the memory's figure (default 1000)")
    add("--pause", type=float, default=0.25, help="seconds between a stream's chunks (0.25)")
    add("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="only some")
    add("--without-litellm", action="store_true", help="compare with the floor only")


def run(options: argparse.Namespace) -> Iterator[report.Table]:
    """Measure each part."""
    if shutil.which("redis-server") is None:
        raise SystemExit("redis-server is needed: apt-get install redis-server")
    litellm, why = None, "left out"
    if not (options.without_litellm or options.parts == ["hits"]):
        try:
            litellm = litellm_proxy.installed()
        except litellm_proxy.NotInstalled as exc:
            why = f"could not be installed: {exc}"
    with tempfile.TemporaryDirectory() as folder:
        for name in options.parts:
            yield PARTS[name].measure(options, Path(folder), litellm, why)
