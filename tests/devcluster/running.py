"""Drives dev clusters from outside, as a user does, and looks at what they do to the host."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devcluster import build, cgroups, images, layout

ROOT = Path(__file__).resolve().parents[2]
POLL_S = 0.1
PROBE_IMAGE = "localhost/probe:dev"


@dataclass(frozen=True)
class Cluster:
    """One named cluster; commands fail the test unless they exit 0."""

    name: str
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    within: tuple[str, ...] = ()  # runs a command in namespaces other than the tests' own

    @property
    def layout(self) -> layout.Cluster:
        return layout.cluster(self.name)

    def run(self, command: str, *arguments: str, check: bool = True) -> str:
        done = self.attempt(command, *arguments)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout

    def attempt(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.line(command, *arguments),
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def start(self, command: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.line(command, *arguments),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def line(self, command: str, *arguments: str) -> list[str]:
        program = [*self.within, sys.executable, "-m", "devcluster"]
        return [*program, command, "--name", self.name, *arguments]

    def kubectl(self, *arguments: str) -> str:
        return self.run("kubectl", *arguments)

    def apply(self, manifest: str) -> None:
        done = subprocess.run(
            self.line("kubectl", "apply", "-f", "-"),
            input=manifest,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def load_probe(self, folder: Path) -> None:
        archive = folder / "probe.tar"
        program = build.directories()["tools"] / "probe"
        archive.write_bytes(images.of_program(PROBE_IMAGE, program))
        self.run("load-image", str(archive))


@contextmanager
def raised(name: str, nodes: int, *options: str, within: tuple[str, ...] = ()) -> Iterator[Cluster]:
    """A cluster that is taken down whatever happens."""
    cluster = Cluster(name, within=within)
    try:
        cluster.run("up", "--nodes", str(nodes), *options)
        yield cluster
    finally:
        cluster.run("down")


def tree(pid: int) -> set[int]:
    """All living processes that descend from a host pid, itself included."""
    children: dict[int, set[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, set()).add(int(entry.name))
    found, todo = set(), {pid} if Path(f"/proc/{pid}").exists() else set()
    while todo:
        found |= todo
        todo = {child for parent in todo for child in children.get(parent, set())} - found
    return found


def recorded_pid(cluster: Cluster) -> int:
    return int(cluster.layout.pid_file.read_text().split()[0])


def living(pids: set[int]) -> dict[int, str]:
    """Those processes that still run, with their commands (a dead one waiting has none)."""
    return {pid: words for pid in pids if (words := command_of(pid))}


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@dataclass(frozen=True)
class Footprint:
    """What a cluster could leave on the host outside of its directory."""

    mounts: frozenset[str]
    interfaces: frozenset[str]
    rules: str
    directories: frozenset[str]


def footprint() -> Footprint:
    folders = ["/run", "/run/netns", "/var/lib", "/var/lib/cni", "/var/lib/kubelet", "/var/log"]
    folders += ["/var/log/pods", "/var/log/containers", "/run/containerd", "/etc/cni/net.d"]
    return Footprint(
        mounts=frozenset(Path("/proc/self/mounts").read_text().splitlines()),
        interfaces=frozenset(entry.name for entry in Path("/sys/class/net").iterdir()),
        rules=subprocess.run(
            ["nft", "list", "ruleset"], capture_output=True, text=True, check=True, timeout=30
        ).stdout,
        directories=frozenset(
            str(entry)
            for folder in folders
            if Path(folder).is_dir()
            for entry in Path(folder).iterdir()
        ),
    )


def remains(name: str) -> list[str]:
    """What is left of a cluster by name: its directory, control groups and processes."""
    cluster = layout.cluster(name)
    left = [str(path) for path in cgroups.remains(cluster.cgroup)]
    left += [str(cluster.state)] if cluster.state.exists() else []
    for entry in Path("/proc").glob("[0-9]*"):
        words = command_of(int(entry.name))
        if f"--name {name} " in words and "devcluster" in words:
            left.append(words)
    return left


def eventually(what: str, true: Callable[[], bool], within_s: float) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, f"{what}: not within {within_s:.0f} s"
        time.sleep(POLL_S)
