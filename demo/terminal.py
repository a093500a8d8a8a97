"""How the demo talks: numbered steps with their times, and programs that are run on the way."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The longest single command is a cluster's first build, some 15 minutes on two cores.
LONGEST_RUN_S = 2400.0
# What a shell, make and our own programs end with after Ctrl-C.
INTERRUPTED = 130


class DemoFailed(Exception):
    """A step failed; the message says which command and what it said."""


class Steps:
    """Prints each step's number, title and time."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._begun = 0
        self._start = time.monotonic()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step, and when it is done say how long it took."""
        self._begun += 1
        print(f"\n[{self._begun}/{self._total}] {title}", flush=True)
        begun = time.monotonic()
        yield
        print(f"      done in {time.monotonic() - begun:.1f} s", flush=True)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first step could begin."""
        return time.monotonic() - self._start


def run(*command: str, stdin: str | None = None, show: bool = False) -> str:
    """Run a command from the project's root; with `show` its output goes to the terminal."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            input=stdin,
            stdout=None if show else subprocess.PIPE,
            stderr=None if show else subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LONGEST_RUN_S,
        )
    except subprocess.TimeoutExpired as exc:
        raise DemoFailed(f"`{' '.join(command)}` took more than {LONGEST_RUN_S:.0f} s") from exc
    if done.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode:
        said = "" if show else f":\n{done.stdout.strip()}"
        raise DemoFailed(f"`{' '.join(command)}` ended with {done.returncode}{said}")
    return done.stdout or ""


def devcluster(*arguments: str, show: bool = False) -> str:
    """Run a command of the dev cluster."""
    return run(sys.executable, "-m", "devcluster", *arguments, show=show)
