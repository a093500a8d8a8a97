"""Runs everything that `make test` promises, in order, and ends everything it started.

Stages that need a cluster share dev clusters of their own (`test`), which leaves a running
demo alone. `make e2e CONTEXT=name IMAGE_LOAD=command` runs that stage on an existing cluster
instead, without the tests that need the powers of a dev cluster. The last line is
`N passed, N failed, N skipped`; a static check counts as one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
CLUSTER = "test"
PYTHON = sys.executable


@dataclass(frozen=True)
class Tally:
    """Outcome of one stage."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped
        )

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


class Interrupted(Exception):
    """SIGINT or SIGTERM arrived."""


class Refused(Exception):
    """What was asked for is not to be done like this; the message says why."""


class Runner:
    """Starts one command at a time, each in a session of its own so that it can be ended."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self.env = {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"}

    def run(self, *command: str | Path) -> int:
        """Return the exit code of the command; its output goes through."""
        self._child = subprocess.Popen(
            [str(part) for part in command], cwd=ROOT, env=self.env, start_new_session=True
        )
        try:
            return self._child.wait()
        finally:
            self.end()
            self._child = None

    def end(self) -> None:
        """End the running command and what it started: first politely, then surely."""
        child = self._child
        if child is None or child.poll() is not None:
            return
        for sent, patience_s in ((signal.SIGINT, 60), (signal.SIGKILL, 10)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(patience_s)
                return


def check(runner: Runner, target: str, *settings: str) -> Tally:
    """Run a static check by its make target: it counts as one."""
    passed = runner.run("make", "--no-print-directory", target, *settings) == 0
    return Tally(passed=1) if passed else Tally(failed=1)


def pytest(runner: Runner, *arguments: str) -> Tally:
    """Run pytest and read its counts from the report, not from its words."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        code = runner.run(PYTHON, "-m", "pytest", "-q", f"--junitxml={report}", *arguments)
        if not report.exists():
            return Tally(failed=1)
        suite = next(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314 - our own file
    total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    broken = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    if code != 0 and broken == 0:
        broken = 1  # e.g. nothing collected: a stage without tests has not passed
    return Tally(max(total - broken - skipped, 0), broken, skipped)


def lint(runner: Runner) -> Tally:
    """Style and spelling."""
    return check(runner, "lint")


def types(runner: Runner) -> Tally:
    """Mypy, strict, on everything."""
    return check(runner, "types")


def layers(runner: Runner) -> Tally:
    """Import contracts."""
    return check(runner, "layers")


def verify(runner: Runner) -> Tally:
    """Generated files are what their sources give."""
    return check(runner, "verify")


def audit(runner: Runner) -> Tally:
    """Scanners, where their answer follows from this checkout; `make audit` asks for the rest."""
    return check(runner, "audit", "PARTS=manifests sboms")


def unit(runner: Runner) -> Tally:
    """Unit, property and contract tests: no cluster, no network but to install their servers."""
    if runner.run(PYTHON, "-m", "tests.packages") != 0:
        return Tally(failed=1)
    return pytest(runner, "tests/unit", "tests/property", "tests/contract")


def integration(runner: Runner) -> Tally:
    """The operator as a process against a real apiserver, also one that lies and fails."""
    return pytest(runner, "tests/integration", "tests/chaos", "--ignore=tests/chaos/gitops")


def e2e(runner: Runner) -> Tally:
    """The whole on real nodes, with the images that users get."""
    if "AGENTSYSTEM_TEST_CONTEXT" in runner.env:
        return e2e_on_context(runner)
    if runner.run("make", "--no-print-directory", "images", f"NAME={CLUSTER}") != 0:
        return Tally(failed=1)
    return pytest(runner, "tests/e2e")


def e2e_on_context(runner: Runner) -> Tally:
    """The same on the user's cluster, less what only a dev cluster can do: that is counted."""
    if runner.run(PYTHON, "-m", "images") != 0:  # loads them with IMAGE_LOAD
        return Tally(failed=1)
    tally = pytest(runner, "tests/e2e")
    print(
        f"{tally.skipped} tests not run on an existing cluster: they need what only a dev cluster "
        "has (its nodes' power, its audit log); `make e2e` without CONTEXT runs them",
        flush=True,
    )
    return tally


def gitops(runner: Runner) -> Tally:
    """Ten minutes of GitOps tools beside the operator: only when it is asked for."""
    return pytest(runner, "-s", "tests/chaos/gitops")


Stage = Callable[[Runner], Tally]
STATIC: dict[str, Stage] = {"lint": lint, "types": types, "layers": layers, "unit": unit}
APISERVER: dict[str, Stage] = {"verify": verify, "audit": audit, "integration": integration}
"""They need an apiserver and its controllers; pods become ready only where a test says so."""
NODES: dict[str, Stage] = {"e2e": e2e}
ON_REQUEST: dict[str, Stage] = {"gitops": gitops}
"""Too long for every run; they need an apiserver too."""


@contextlib.contextmanager
def cluster(runner: Runner, *, nodes: int) -> Iterator[bool]:
    """Raise the test cluster and always end it; says whether it came up."""
    up = ["python3", "-m", "devcluster", "up", "--name", CLUSTER, "--nodes", str(nodes)]
    if nodes == 0:
        # Many stories side by side share the controllers, whose own rate is for one small cluster.
        up += ["--controller-qps", "200"]
    try:
        yield runner.run(*up) == 0
    finally:
        runner.end()
        subprocess.run(
            ["python3", "-m", "devcluster", "down", "--name", CLUSTER],
            cwd=ROOT,
            check=False,
            start_new_session=True,  # a second Ctrl-C must not leave half a cluster
        )


def run_stages(runner: Runner, stages: dict[str, Stage]) -> Tally:
    """Run stages in order, each one whatever became of those before it."""
    total = Tally()
    for name, stage in stages.items():
        print(f"\n=== {name} ({time.strftime('%H:%M:%S')})", flush=True)
        started = time.monotonic()
        tally = stage(runner)
        print(f"=== {name}: {tally} in {time.monotonic() - started:.0f} s", flush=True)
        total += tally
    return total


def run_all(runner: Runner, wanted: list[str]) -> Tally:
    """Run the wanted stages; those that need a cluster inside one of the kind they need."""
    total = run_stages(runner, {k: v for k, v in STATIC.items() if k in wanted})
    runner.env["AGENTSYSTEM_TEST_CLUSTER"] = CLUSTER
    for group, nodes in (({**APISERVER, **ON_REQUEST}, 0), (NODES, 2)):
        stages = {name: stage for name, stage in group.items() if name in wanted}
        if not stages:
            continue
        print(f"\n=== cluster with {nodes} nodes", flush=True)
        with cluster(runner, nodes=nodes) as up:
            total += run_stages(runner, stages) if up else Tally(failed=len(stages))
    return total


def run_on_context(runner: Runner, wanted: list[str], context: str) -> Tally:
    """Run the e2e stage on the user's cluster; Refused unless the user may want that there."""
    if wanted != ["e2e"]:
        raise Refused("CONTEXT=... goes with `make e2e` alone; unset it for everything else")
    if runner.env.get("REPO"):
        raise Refused("`make e2e CONTEXT=...` takes IMAGE_LOAD, not REPO: it tests this checkout")
    if runner.run(PYTHON, "-m", "demo", "check") != 0:  # says why itself
        raise Refused(f"nothing was done on context {context!r}")
    runner.env["AGENTSYSTEM_TEST_CONTEXT"] = context
    return run_stages(runner, {"e2e": e2e})


def interrupt(number: int, _frame: FrameType | None) -> None:
    """Turn a signal into an exception so that everything unwinds."""
    raise Interrupted(signal.Signals(number).name)


def main() -> int:
    """Run the stages named on the command line, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", help="default: all", metavar="STAGE")
    known = [*STATIC, *APISERVER, *NODES]
    wanted = parser.parse_args().stages or known
    if unknown := sorted(set(wanted) - {*known, *ON_REQUEST}):
        parser.error(f"unknown stage {unknown[0]}; known: {', '.join([*known, *ON_REQUEST])}")
    if shutil.which("python3") is None:
        parser.error("python3 is not on the PATH")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    runner = Runner()
    context = os.environ.get("CONTEXT", "")
    try:
        total = run_on_context(runner, wanted, context) if context else run_all(runner, wanted)
    except Refused as why:
        print(f"tests: {why}", file=sys.stderr)
        return 2
    except Interrupted as why:
        print(f"\ninterrupted by {why}; everything that was started has been ended", flush=True)
        return 130
    print(f"\n{total}", flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
