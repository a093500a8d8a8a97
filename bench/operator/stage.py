"""Where the operator's numbers are taken: a dev cluster, and the operator as a process beside it.

The process has exactly the rights of `config/rbac` and is the same program that the image runs;
outside a pod its memory and processor time can be read from /proc, where it has no say.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.cluster import DEVCLUSTER, raised
from tests.integration import crd, operator_process
from tests.integration.operator_process import Process
from tests.kube import Kube, eventually

USER = operator_process.USER
TICKS = os.sysconf("SC_CLK_TCK")
LEAD_WITHIN_S = 60
UPSTREAM_QPS = 20
"""The controller-manager's own default; burst 30."""
PASSES = "agentsystem_reconcile_seconds_count"


@contextmanager
def cluster(name: str, *options: str) -> Iterator[Kube]:
    """Raise a dev cluster of that name, with options of `devcluster up`, and end it afterwards."""
    with raised(name, *options) as path:
        yield Kube(str(path), kubectl=[*DEVCLUSTER, "kubectl", "--name", name, "--"])


@contextmanager
def scaled(options: argparse.Namespace, *, controller_qps: int = 0) -> Iterator[Stage]:
    """Raise a cluster without kubelets whose pods run on fake nodes, sized by the options."""
    given = ["--nodes", "0", "--fake-nodes", str(options.fake_nodes)]
    given += ["--controller-qps", str(controller_qps or options.controller_qps)]
    with cluster(options.cluster, *given) as kube, tempfile.TemporaryDirectory() as folder:
        yield Stage(kube, options.cluster, Path(folder))


def described(options: argparse.Namespace, *, controller_qps: int = 0) -> str:
    """Return the load's part that is the same for all sections on fake nodes."""
    return (
        f"one agent, Memory, Scripted; {options.fake_nodes} fake nodes,"
        f" controllers at {controller_qps or options.controller_qps} requests/s"
    )


class Stage:
    """A cluster that serves AgentSystems, and operators that can be started on it."""

    def __init__(self, kube: Kube, name: str, folder: Path) -> None:
        self.kube = kube
        self.name = name
        self._folder = folder
        crd.serve(kube)
        self._account = operator_process.account(kube, folder)

    @contextmanager
    def operator(self) -> Iterator[Running]:
        """Run an operator; yields when it leads."""
        started = time.monotonic()
        process = Process(self._account, self._folder / "operator.log")
        running = Running(process, started)
        try:
            eventually("the operator leads", process.is_leading, within_s=LEAD_WITHIN_S)
            yield running
        finally:
            if process.is_running():
                process.stop()


class Running:
    """An operator's process, seen from outside."""

    def __init__(self, process: Process, started: float) -> None:
        self.process = process
        self.started = started
        """Monotonic time of its start."""

    @property
    def rss_mb(self) -> float:
        """Resident memory, MB."""
        return rss_mb(self.process.pid)

    @property
    def cpu_s(self) -> float:
        """Processor seconds, user and system, since its start."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        after_name = stat.rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / TICKS

    @property
    def passes(self) -> float:
        """Passes over systems since its start."""
        return self.process.metric(PASSES)

    def is_idle(self) -> bool:
        """Say whether no system waits for a worker, and none got one within half a second."""
        before = self.passes
        if self.process.metric("agentsystem_queue_depth"):
            return False
        time.sleep(0.5)
        return self.passes == before


def rss_mb(pid: int) -> float:
    """Resident memory of a process, MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6
