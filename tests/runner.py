"""Starts commands of a test run, shows what they say, and ends what they started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
POLITE_S, SURE_S = 60, 10
_printing = threading.Lock()


class Interrupted(Exception):
    """SIGINT or SIGTERM arrived."""


class Runner:
    """Starts one command at a time, each in a session of its own so that it can be ended.

    With a `name` every line that a command prints begins with it: several run side by side.
    """

    def __init__(self, name: str = "", **env: str) -> None:
        self.env = {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", **env}
        self._name = name
        self._child: subprocess.Popen[str] | None = None
        self._starting = threading.Lock()
        self._stopped = False

    def run(self, *command: str | Path) -> int:
        """Return the exit code of the command; its output goes through.

        Raises `Interrupted` once `stop` was called.
        """
        with self._starting:
            if self._stopped:
                raise Interrupted
            child = self._child = self._start([str(part) for part in command])
        try:
            shown = self._showing(child.stdout)
            code = child.wait()
            # What a command left running may hold its output open for ever.
            shown.join(SURE_S)
        finally:
            self.end()
            self._child = None
        if self._stopped:
            raise Interrupted
        return code

    def say(self, text: str) -> None:
        """Print a line of our own."""
        with _printing:
            print(f"{self._name:<8}| {text}" if self._name else text, flush=True)

    def stop(self) -> None:
        """End the running command, from another thread, and start none any more."""
        with self._starting:
            self._stopped = True
        self.end()

    def end(self) -> None:
        """End the running command and what it started: first politely, then surely."""
        child = self._child
        if child is None or child.poll() is not None:
            return
        for sent, patience_s in ((signal.SIGINT, POLITE_S), (signal.SIGKILL, SURE_S)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(patience_s)
                return

    def _start(self, command: list[str]) -> subprocess.Popen[str]:
        piped = bool(self._name)
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.env,
            start_new_session=True,
            stdout=subprocess.PIPE if piped else None,
            stderr=subprocess.STDOUT if piped else None,
            text=True,
            errors="replace",
        )

    def _showing(self, output: IO[str] | None) -> threading.Thread:
        def show() -> None:
            for line in output or ():
                self.say(line.rstrip("\n"))

        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        return thread
