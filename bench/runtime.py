"""What the runtime adds to an answer: requests per second and latency on one core.

The server is a real `agent-runtime serve` with scripted answers, pinned to one core; the client
(wrk, which `make bench` installs) is pinned to another. Baseline of the same run: a bare ASGI
app that answers a constant, on the same server library.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import report

ROOT = Path(__file__).resolve().parent.parent
LUA = """
wrk.method = "POST"
wrk.body = '{"model": "front", "messages": [{"role": "user", "content": "hello"}]}'
wrk.headers["Content-Type"] = "application/json"
function done(summary, latency)
  local e = summary.errors
  local bad = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format("%d %d %f %f\\n", summary.requests, bad,
    summary.duration / 1e6, latency:percentile(99)))
end
"""
CONFIG = {
    "contract": "v1.0",
    "namespace": "bench",
    "system": "bench",
    "entry": "front",
    "agents": [{"name": "front", "route": "chat", "instructions": "Be brief."}],
    "siblings": [],
    "routes": [{"name": "chat", "chain": [{"provider": "canned"}]}],
    "providers": [{"name": "canned", "type": "Scripted", "scripted": {}}],
    "sessions": {"store": "Memory", "ttlSeconds": 3600, "maxTurns": 50, "shared": True},
}
BARE = """
import asyncio, sys, uvicorn
BODY = b'{"choices":[{"message":{"content":"hello"}}]}'
HEADERS = [(b"content-type", b"application/json")]
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m bench runtime`."""
    parser.add_argument("--seconds", type=float, default=5, help="length of a run (default 5)")
    parser.add_argument("--runs", type=int, default=5, help="runs (default 5)")
    parser.add_argument("--in-flight", type=int, default=32, help="connections (default 32)")


def run(options: argparse.Namespace) -> Iterator[report.Table]:
    """Measure both servers in turn."""
    ours: list[float] = []
    bare: list[float] = []
    added: list[float] = []
    memory: list[float] = []
    for _ in range(options.runs):
        with bare_server() as (port, _pid):
            bare.append(drive(port, options.in_flight, options.seconds)[0])
            bare_p99 = drive(port, 1, options.seconds)[1]
        with runtime_server() as (port, pid):
            ours.append(drive(port, options.in_flight, options.seconds)[0])
            added.append(drive(port, 1, options.seconds)[1] - bare_p99)
            memory.append(rss_mb(pid))
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    rows = (
        report.row("requests/s, scripted answer", "1/s", ours),
        report.row("requests/s, bare ASGI app", "1/s", bare, compared_with="the baseline"),
        report.row("ratio to the baseline", "1", ratios),
        report.row("p99 at 1 in flight, above the baseline's", "ms", added),
        report.row("memory after the run", "MB", memory),
    )
    load = f"{options.in_flight} in flight, {options.seconds:g} s a run, server on one core"
    yield report.Table("runtime: scripted answers", load, rows)


def drive(port: int, in_flight: int, seconds: float) -> tuple[float, float]:
    """Requests per second and p99 in milliseconds, from wrk on the last core."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA)
        script.flush()
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        wrk = ["wrk", "-t1", f"-c{in_flight}", f"-d{seconds:g}s", "-s", script.name, url]
        last = str(max(os.sched_getaffinity(0)))
        done = subprocess.run(
            ["taskset", "-c", last, *wrk], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
    good, bad, seconds_taken, p99_us = (float(x) for x in done.splitlines()[-1].split())
    assert bad == 0, done
    return good / seconds_taken, p99_us / 1e3


@contextmanager
def bare_server() -> Iterator[tuple[int, int]]:
    """The baseline, on one core."""
    port = free_port()
    with serving([sys.executable, "-c", BARE, str(port)], port) as pid:
        yield port, pid


@contextmanager
def runtime_server() -> Iterator[tuple[int, int]]:
    """A real runtime, on one core."""
    port, metrics = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(CONFIG))
        command = [sys.executable, "-m", "agent_runtime", "serve", "--config", str(config)]
        ports = ["--host", "127.0.0.1", "--port", str(port), "--metrics-port", str(metrics)]
        with serving([*command, *ports], port) as pid:
            yield port, pid


@contextmanager
def serving(command: list[str], port: int) -> Iterator[int]:
    """Start a server, wait until its port answers, and end it."""
    server = subprocess.Popen(["taskset", "-c", "0", *command], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield server.pid
    finally:
        server.terminate()
        server.wait(30)


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    (line,) = (
        x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1e3
