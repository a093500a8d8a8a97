"""A dev cluster for one benchmark: raised, and always ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEVCLUSTER = (sys.executable, "-m", "devcluster")


@contextmanager
def raised(name: str, *options: str) -> Iterator[Path]:
    """Raise a cluster with options of `devcluster up`; yields its administrator's kubeconfig.

    One of that name that is there already, running or stopped, is somebody's, and would be ended
    here: SystemExit.
    """
    if "not there" not in _devcluster("status", name, check=False).stdout:
        raise SystemExit(
            f"cluster '{name}' is there already; name another one with --cluster, or end it:"
            f" python -m devcluster down --name {name}"
        )
    try:
        _devcluster("up", name, *options)
        yield Path(_devcluster("kubeconfig", name).stdout.strip())
    finally:
        _devcluster("down", name, check=False)


def _devcluster(
    verb: str, name: str, *more: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    command = [*DEVCLUSTER, verb, "--name", name, *more]
    # Its own session: a second Ctrl-C must not leave half a cluster.
    return subprocess.run(
        command, cwd=ROOT, check=check, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
