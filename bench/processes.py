"""Servers under measurement: each on one core, what measures them on the other."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests import ports

ROOT = Path(__file__).resolve().parent.parent
SERVER_CORE = min(os.sched_getaffinity(0))
CLIENT_CORE = max(os.sched_getaffinity(0))
START_SECONDS = 10.0  # what we wrote ourselves is there in two


@contextmanager
def serving(
    command: Sequence[str],
    port: int,
    *,
    core: int = SERVER_CORE,
    start_s: float = START_SECONDS,
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Start a server on a core, wait until its port answers, and end it."""
    server = subprocess.Popen(
        ["taskset", "-c", str(core), *command],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, server, start_s)
        yield server.pid
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes], start_s: float) -> None:
    deadline = time.monotonic() + start_s
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"no server on port {port}: {server.args!r}")


@contextmanager
def simulator(
    control: Mapping[str, object] | None = None,
    *,
    core: int = CLIENT_CORE,
    control_port: int | None = None,
) -> Iterator[tuple[int, int]]:
    """The provider simulator, on the client's core unless told otherwise: its port and pid."""
    port = ports.free()
    command = [sys.executable, "-m", "agent_runtime", "simulate", "--host", "127.0.0.1"]
    given = ["--port", str(port), "--control-port", str(control_port or ports.free())]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as orders:
        json.dump(control or {}, orders)
        orders.flush()
        with serving([*command, *given, "--control", orders.name], port, core=core) as pid:
            yield port, pid


@contextmanager
def redis() -> Iterator[int]:
    """A Redis that keeps nothing on disk, on the client's core: a disk is not what is measured."""
    port = ports.free()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
    with serving([*command, "--save", "", "--appendonly", "no"], port, core=CLIENT_CORE):
        yield port


@contextmanager
def runtime(config: Path, *, metrics_port: int = 0) -> Iterator[tuple[int, int]]:
    """A real `agent-runtime serve`: its port and pid; its metrics are at any port if at none."""
    port, metrics_port = ports.free(), metrics_port or ports.free()
    command = [sys.executable, "-m", "agent_runtime", "serve", "--config", str(config)]
    given = ["--host", "127.0.0.1", "--port", str(port), "--metrics-port", str(metrics_port)]
    with serving([*command, *given], port) as pid:
        yield port, pid


def rss_mb(pid: int, *, peak: bool = False) -> float:
    """Resident memory of a process, now or at its highest."""
    name = "VmHWM" if peak else "VmRSS"
    (line,) = (x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if name in x)
    return int(line.split()[1]) / 1e3


def cpu_s(pid: int) -> float:
    """The CPU time that a process has used, its own and the kernel's for it."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
