"""Runs everything that `make test` promises, in order, and ends everything it started.

Stages that need a cluster have dev clusters of their own (`test`, `test-faults`), which leaves a
running demo alone. What waits runs side by side with what computes. `make e2e CONTEXT=name
IMAGE_LOAD=command` runs that stage on an existing cluster instead, without the tests that need the
powers of a dev cluster. Each failure is named in a line of its own before the last one, which is
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
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.runner import ROOT, Interrupted, Runner
from tests.tally import Tally, failure, of_report

CLUSTER = "test"
DEV = ("python3", "-m", "devcluster")
PYTHON = sys.executable
SLOWEST = 15
"""How many tests each stage names with what they took, of those that took 5 s and more."""


class Refused(Exception):
    """What was asked for is not to be done like this; the message says why."""


def check(runner: Runner, target: str, *settings: str) -> Tally:
    """Run a static check by its make target: it counts as one."""
    passed = runner.run("make", "--no-print-directory", target, *settings) == 0
    return Tally(passed=1) if passed else failure(f"make {target}")


def pytest(runner: Runner, *arguments: str) -> Tally:
    """Run pytest and read its counts from the report, not from its words."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ("-q", f"--junitxml={report}", f"--durations={SLOWEST}", "--durations-min=5")
        code = runner.run(PYTHON, "-m", "pytest", *options, *arguments)
        if not report.exists():
            return failure(f"pytest {' '.join(arguments)}", f"exit code {code} and no report")
        return of_report(report, code)


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
        return failure("installation of the tests' servers")
    return pytest(runner, "tests/unit", "tests/property", "tests/contract")


def integration(runner: Runner) -> Tally:
    """The operator as a process against a real apiserver."""
    return pytest(runner, "tests/integration")


def faults(runner: Runner) -> Tally:
    """The same against an apiserver that lies and fails: a fixed sample of `make chaos`."""
    return pytest(runner, "tests/chaos", "--ignore=tests/chaos/gitops")


def devcluster(runner: Runner) -> Tally:
    """The dev cluster itself; most of its tests raise one of their own."""
    return pytest(runner, "tests/devcluster")


def demo(runner: Runner) -> Tally:
    """`make demo` on a cluster that it did not raise itself."""
    return pytest(runner, "tests/demo")


def e2e(runner: Runner) -> Tally:
    """The whole on real nodes, with the images that users get."""
    if "AGENTSYSTEM_TEST_CONTEXT" in runner.env:
        return e2e_on_context(runner)
    if runner.run("make", "--no-print-directory", "images", f"NAME={CLUSTER}") != 0:
        return failure("make images")
    return pytest(runner, "tests/e2e")


def e2e_on_context(runner: Runner) -> Tally:
    """The same on the user's cluster, less what only a dev cluster can do: that is counted."""
    if runner.run(PYTHON, "-m", "images") != 0:  # loads them with IMAGE_LOAD
        return failure("loading of the images")
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
FAULTS: dict[str, Stage] = {"faults": faults}
"""The same goes for these."""
DEVCLUSTER: dict[str, Stage] = {"devcluster": devcluster, "demo": demo}
NODES: dict[str, Stage] = {"e2e": e2e}
ON_REQUEST: dict[str, Stage] = {"gitops": gitops}
"""Too long for every run; they need an apiserver too."""


@dataclass(frozen=True)
class Group:
    """Stages that run one after the other, in a cluster of their own or without one."""

    stages: dict[str, Stage]
    cluster: str = ""
    nodes: int = 0

    def wanted(self, names: Collection[str]) -> Group:
        """Return the group with those of its stages that are wanted."""
        return replace(self, stages={k: v for k, v in self.stages.items() if k in names})


Lane = tuple[Group, ...]
SIDE_BY_SIDE: dict[str, Lane] = {
    "code": (Group(STATIC),),
    "cluster": (Group({**APISERVER, **ON_REQUEST}, CLUSTER),),
    "own": (Group(DEVCLUSTER), Group(FAULTS, f"{CLUSTER}-faults")),
}
"""What computes with what waits; each takes about a quarter of an hour."""
ALONE: Lane = (Group(NODES, CLUSTER, nodes=2),)
"""What times pods and requests has the machine to itself."""


@contextlib.contextmanager
def cluster(runner: Runner, group: Group) -> Iterator[bool]:
    """Raise the group's cluster, if it has one, and always end it; says whether it came up."""
    if not group.cluster:
        yield True
        return
    runner.say(f"\n=== cluster {group.cluster} with {group.nodes} nodes")
    up = [*DEV, "up", "--name", group.cluster, "--nodes", str(group.nodes)]
    if group.nodes == 0:
        # Many stories side by side share the controllers, whose own rate is for one small cluster.
        up += ["--controller-qps", "200"]
    runner.env["AGENTSYSTEM_TEST_CLUSTER"] = group.cluster
    try:
        yield runner.run(*up) == 0
    finally:
        runner.end()
        subprocess.run(
            [*DEV, "down", "--name", group.cluster],
            cwd=ROOT,
            check=False,
            start_new_session=True,  # a second Ctrl-C must not leave half a cluster
        )


def run_group(runner: Runner, group: Group) -> Tally:
    """Run the stages of a group in order, each one whatever became of those before it."""
    total = Tally()
    if not group.stages:
        return total
    with cluster(runner, group) as up:
        if not up:
            return sum((failure(n, f"no cluster {group.cluster}") for n in group.stages), Tally())
        for name, stage in group.stages.items():
            runner.say(f"\n=== {name} ({time.strftime('%H:%M:%S')})")
            started = time.monotonic()
            tally = stage(runner)
            runner.say(f"=== {name}: {tally} in {time.monotonic() - started:.0f} s")
            total += tally
    return total


def run_lane(runner: Runner, lane: Lane) -> Tally:
    """Run the groups of a lane in order."""
    return sum((run_group(runner, group) for group in lane), Tally())


def run_lanes(lanes: Mapping[str, Lane]) -> Tally:
    """Run lanes side by side; whatever ends one of them early ends the others."""
    if len(lanes) <= 1:
        return sum((run_lane(Runner(), lane) for lane in lanes.values()), Tally())
    prepare()
    runners = [Runner(name) for name in lanes]
    with ThreadPoolExecutor(len(lanes)) as pool:
        running = [
            pool.submit(run_lane, *each) for each in zip(runners, lanes.values(), strict=True)
        ]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
        finally:
            left = [r for r, lane in zip(runners, running, strict=True) if not lane.done()]
            with ThreadPoolExecutor(len(lanes)) as ending:
                list(ending.map(Runner.stop, left))
    return sum((lane.result() for lane in running), Tally())


def prepare() -> None:
    """Install and build once what lanes would want at the same time.

    Builds of images mount file systems for a while: to whoever compares what a dev cluster leaves
    behind with what was there before, these would be what it left.
    """
    runner = Runner()
    runner.run(PYTHON, "-m", "tests.packages")
    runner.run(*DEV, "build")
    runner.run(PYTHON, "-m", "images", "--sbom")


def run_all(wanted: Collection[str]) -> Tally:
    """Run the wanted stages."""
    lanes = {
        name: tuple(group.wanted(wanted) for group in lane) for name, lane in SIDE_BY_SIDE.items()
    }
    total = run_lanes({k: lane for k, lane in lanes.items() if any(g.stages for g in lane)})
    return total + run_lane(Runner(), tuple(group.wanted(wanted) for group in ALONE))


def run_on_context(wanted: list[str], context: str) -> Tally:
    """Run the e2e stage on the user's cluster; Refused unless the user may want that there."""
    if wanted != ["e2e"]:
        raise Refused("CONTEXT=... goes with `make e2e` alone; unset it for everything else")
    if os.environ.get("REPO"):
        raise Refused("`make e2e CONTEXT=...` takes IMAGE_LOAD, not REPO: it tests this checkout")
    runner = Runner()
    if runner.run(PYTHON, "-m", "demo", "check") != 0:  # says why itself
        raise Refused(f"nothing was done on context {context!r}")
    runner.env["AGENTSYSTEM_TEST_CONTEXT"] = context
    return run_group(runner, Group({"e2e": e2e}))


def interrupt(number: int, _frame: FrameType | None) -> None:
    """Turn a signal into an exception so that everything unwinds."""
    raise Interrupted(signal.Signals(number).name)


def main() -> int:
    """Run the stages named on the command line, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", help="default: all", metavar="STAGE")
    known = [*STATIC, *DEVCLUSTER, *APISERVER, *FAULTS, *NODES]
    wanted = parser.parse_args().stages or known
    if unknown := sorted(set(wanted) - {*known, *ON_REQUEST}):
        parser.error(f"unknown stage {unknown[0]}; known: {', '.join([*known, *ON_REQUEST])}")
    if shutil.which("python3") is None:
        parser.error("python3 is not on the PATH")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    context = os.environ.get("CONTEXT", "")
    try:
        total = run_on_context(wanted, context) if context else run_all(wanted)
    except Refused as why:
        print(f"tests: {why}", file=sys.stderr)
        return 2
    except Interrupted as why:
        print(f"\ninterrupted by {why}; everything that was started has been ended", flush=True)
        return 130
    print("", *total.named, total, sep="\n", flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
