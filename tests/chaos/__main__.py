"""`python -m tests.chaos`: run sweeps against a dev cluster and print what came of them.

Needs a running cluster (`--cluster`, or AGENTSYSTEM_TEST_CLUSTER); nodes are not needed. A case
that failed runs again by its name and seed: `--sweep a --case edit/7/before --seed 2`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import rig, runner, table
from tests.chaos.trial import Verdict
from tests.conftest import ROOT


def main() -> int:
    """Run what the command line names; returns 1 when a case failed."""
    asked = _parser().parse_args()
    seeds = (asked.seed,) if asked.seed else tuple(range(1, asked.seeds + 1))
    letters = tuple(asked.sweep.split(",")) if asked.sweep else runner.Wanted().sweeps
    wanted = runner.Wanted(
        letters, seeds, asked.case, asked.parallel, asked.settle, rest=not asked.case
    )
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    began = time.monotonic()
    verdicts = asyncio.run(_run(kubeconfig(asked.cluster), folder, wanted))
    patterns = {sweep.letter: f"({sweep.letter}) {sweep.pattern}" for sweep in runner.SWEEPS}
    print("\n" + table.markdown(table.rows(verdicts, patterns)))
    failed = sum(not verdict.passed for verdict in verdicts)
    took = (time.monotonic() - began) / 60
    print(f"\n{len(verdicts) - failed} passed, {failed} failed in {took:.1f} min")
    return 1 if failed or not verdicts else 0


async def _run(config: Path, folder: Path, wanted: runner.Wanted) -> list[Verdict]:
    task = asyncio.current_task()
    assert task is not None
    # As Ctrl-C: every operator is ended and every namespace removed on the way out.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await runner.run(config, folder, wanted, told=lambda v: print(table.told(v), flush=True))


def kubeconfig(cluster: str) -> Path:
    """Return the administrator's kubeconfig of a running dev cluster."""
    command = [sys.executable, "-m", "devcluster", "kubeconfig", "--name", cluster]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    cluster = os.environ.get("AGENTSYSTEM_TEST_CLUSTER", "test")
    letters = ",".join(sweep.letter for sweep in runner.SWEEPS)
    parser.add_argument("--cluster", default=cluster, help="dev cluster (default: %(default)s)")
    parser.add_argument("--sweep", default="", help=f"comma-separated, of {letters} (default: all)")
    parser.add_argument(
        "--case", action="append", default=[], help="a case's name, or the beginning of some"
    )
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from 1 (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="this seed only")
    parser.add_argument("--parallel", type=int, default=runner.PARALLEL, help="cases at once")
    parser.add_argument(
        "--settle",
        type=float,
        default=rig.SETTLE_S,
        help="seconds from the last fault to the last write (default %(default)g; more on a machine"
        " that is busy with something else)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
