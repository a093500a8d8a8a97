"""What the operator's end of the channel costs with many pods that report once a second.

The server is a process of its own that runs the real parts: TLS, tokens, messages, the table. The
clients are in this process; each has its own token and pod. CPU time and memory are the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import processes, report
from tests.contract.channel import rig

SERVER = "bench.channel_server"
REPORT = {
    "type": "report",
    "load": {
        "inFlight": 3,
        "ratePerSecond": 12.5,
        "p95Seconds": 0.8,
        "tokensPerSecond": 410.0,
        "sessions": 31,
        "saturation": 0.003,
    },
    "providers": [
        {"name": "openai", "state": "Healthy", "recent": True},
        {"name": "canned", "state": "Healthy"},
    ],
    "routes": [{"name": "chat", "active": "openai", "recent": True}],
}
OPENING_PER_S = 45
"""Below what the operator takes from one address: all of these pods have the same."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m bench channel`."""
    parser.add_argument("--pods", type=int, default=1000, help="connected pods (default 1000)")
    parser.add_argument("--seconds", type=float, default=20, help="length of a run (default 20)")
    parser.add_argument("--runs", type=int, default=3, help="runs (default 3)")


def run(options: argparse.Namespace) -> Iterator[report.Table]:
    """Measure a server with all pods connected."""
    signer = rig.Signer()
    cores: list[float] = []
    memory: list[float] = []
    heard: list[float] = []
    for _ in range(options.runs):
        with _server(signer) as (process, port, trusted):
            seen = asyncio.run(_measure(process.pid, port, trusted, signer, options))
            cores.append(seen[0])
            memory.append(seen[1])
            heard.append(seen[2])
    rows = (
        report.row("CPU of the operator", "cores", cores, compared_with="goal <= 0.2"),
        report.row("memory, over no pods", "MB", memory, compared_with="goal <= 40"),
        report.row("reports sent", "1/s", heard),
    )
    load = f"{options.pods} pods, a report a second each, {options.seconds:g} s a run"
    yield report.Table("channel: the operator's end", load, rows)


@contextmanager
def _server(signer: rig.Signer) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    command = [sys.executable, "-m", SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"kid": signer.kid, "key": rig.public_pem(signer)}) + "\n")
        process.stdin.flush()
        told = json.loads(process.stdout.readline())
        try:
            yield process, told["port"], told["trusted"]
        finally:
            process.terminate()


async def _measure(
    pid: int, port: int, trusted: str, signer: rig.Signer, options: argparse.Namespace
) -> tuple[float, float, float]:
    """Return cores, megabytes and reports a second."""
    before_mb = processes.rss_mb(pid)
    tls, sent = rig.trusting(trusted), [0]
    pods = []
    for number in range(options.pods):
        token = signer.token(pod=f"front-{number}", account=f"team{number % 100}--front")
        pods.append(asyncio.create_task(_pod(port, tls, token, sent)))
        await asyncio.sleep(1 / OPENING_PER_S)
    await asyncio.sleep(3)
    assert not [pod for pod in pods if pod.done()], "a pod was refused"
    began, cpu, count = time.monotonic(), processes.cpu_s(pid), sent[0]
    await asyncio.sleep(options.seconds)
    took = time.monotonic() - began
    used, said = processes.cpu_s(pid) - cpu, sent[0] - count
    memory = processes.rss_mb(pid) - before_mb
    assert not [pod for pod in pods if pod.done()], "a pod was cut off"
    for pod in pods:
        pod.cancel()
    await asyncio.wait(pods)
    return used / took, memory, said / took


async def _pod(port: int, tls: ssl.SSLContext, token: str, sent: list[int]) -> None:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname=rig.HOST
    )
    line = json.dumps(REPORT).encode() + b"\n"
    try:
        hello: dict[str, Any] = {"type": "hello", "channel": "v1.0", "token": token}
        writer.write(json.dumps(hello).encode() + b"\n")
        assert b"welcome" in await reader.readline()
        while True:
            writer.write(line)
            await writer.drain()
            sent[0] += 1
            await asyncio.sleep(1)
    finally:
        writer.transport.abort()
