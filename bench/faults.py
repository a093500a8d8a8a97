"""The operator under faults: pattern x case x seeds x result, on a dev cluster of its own.

One case again by its seed: `python -m bench faults --sweep h --case owner-removed/Service/deleted
--seed 2`. `--docs` writes the rows of the sweeps that ran into the table of docs/reliability.md.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import cluster
from bench.cluster import ROOT
from bench.report import Grid
from tests.chaos import runner, table
from tests.chaos.trial import Verdict

PAGE = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- table: begin, written by `python -m bench faults --docs` -->"
END = "<!-- table: end -->"
CONTROLLER_QPS = 200
"""Of the controllers, which serve all cases at once; 20 is for one small cluster."""
HEAD = ("pattern", "story", "cases", "seeds", "passed", "slowest to settle")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m bench faults`."""
    letters = ",".join(sweep.letter for sweep in runner.SWEEPS)
    add = parser.add_argument
    add("--cluster", default="chaos", help="dev cluster (default chaos); raised and ended here")
    add("--sweep", default="", help=f"comma-separated, of {letters} (default: all)")
    add("--case", action="append", default=[], help="a case's name, or the beginning of some")
    add("--seeds", type=int, default=3, help="how many seeds, from 1 (default 3)")
    add("--seed", type=int, default=0, help="this seed only")
    add("--parallel", type=int, default=runner.PARALLEL, help="cases at once")
    add("--docs", action="store_true", help="write the rows into docs/reliability.md")


def run(options: argparse.Namespace) -> Iterator[Grid]:
    """Run the sweeps and yield their table; exits with 1 when a case failed."""
    if options.docs and (options.case or options.seed):
        raise SystemExit("--docs is for whole sweeps; leave --case and --seed out")
    verdicts: list[Verdict] = []
    began = time.monotonic()
    qps = ("--controller-qps", str(CONTROLLER_QPS))
    with cluster.raised(options.cluster, "--nodes", "0", *qps) as kubeconfig:
        verdicts = asyncio.run(_verdicts(kubeconfig, options))
    found = grid(verdicts, minutes=(time.monotonic() - began) / 60)
    if options.docs:
        PAGE.write_text(documented(PAGE.read_text(), found))
    yield found
    if not verdicts or any(not verdict.passed for verdict in verdicts):
        raise SystemExit(1)


def grid(verdicts: Sequence[Verdict], *, minutes: float) -> Grid:
    """Return the table of some verdicts."""
    patterns = {sweep.letter: f"({sweep.letter}) {sweep.pattern}" for sweep in runner.SWEEPS}
    failed = sum(not verdict.passed for verdict in verdicts)
    load = f"{len(verdicts) - failed} passed, {failed} failed in {minutes:.0f} min"
    return Grid("Sweeps of faults", load, HEAD, tuple(table.rows(verdicts, patterns)))


def documented(page: str, found: Grid) -> str:
    """Return a page with the table between its markers.

    Rows of sweeps that were not run stay, so that a sweep can be run again by itself.
    """
    before, _, rest = page.partition(BEGIN)
    old, _, after = rest.partition(END)
    again = {pattern for pattern, *_ in found.lines}
    kept = [line for line in _rows(old) if line[0] not in again]
    lines = sorted([*kept, *found.lines], key=lambda line: line[0])
    passed, cases = (sum(counts) for counts in zip(*map(_passed, lines), strict=True))
    whole = Grid(found.title, f"{passed} of {cases} passed", HEAD, tuple(lines))
    return f"{before}{BEGIN}\n\n{whole.load}\n\n{whole.markdown()}\n\n{END}{after}"


def _rows(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a table as `documented` writes it."""
    for line in text.splitlines():
        if line.startswith("| ("):
            yield tuple(cell.strip() for cell in line.strip("| ").split(" | "))


def _passed(line: tuple[str, ...]) -> tuple[int, int]:
    """Return how many runs of a row passed, and how many there were: `5 of 6`."""
    passed, _, cases = line[HEAD.index("passed")].partition(" of ")
    return int(passed), int(cases)


async def _verdicts(kubeconfig: Path, options: argparse.Namespace) -> list[Verdict]:
    task = asyncio.current_task()
    assert task is not None
    # As Ctrl-C: every operator is ended, every namespace removed, and then the cluster.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    seeds = (options.seed,) if options.seed else tuple(range(1, options.seeds + 1))
    wanted = runner.Wanted(
        sweeps=tuple(options.sweep.split(",")) if options.sweep else runner.Wanted().sweeps,
        seeds=seeds,
        cases=options.case,
        parallel=options.parallel,
        rest=not options.case,
    )
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    return await runner.run(
        kubeconfig, folder, wanted, told=lambda v: print(table.told(v), flush=True)
    )
