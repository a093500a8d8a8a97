"""Long-running programs that are started again when they end, and stopped for good on demand."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from devcluster import layout
from devcluster.errors import DevClusterError

RESTART_DELAY_S = 1.0
STOP_LIMIT_S = 10.0
RUN_LIMIT_S = 60.0


class Kept:
    """One program that runs until `stop`. Its output is appended to a log file."""

    def __init__(
        self,
        name: str,
        command: tuple[str, ...],
        logs: Path,
        *,
        say: Callable[[str], None],
        environment: Mapping[str, str] | None = None,
        descriptors: tuple[int, ...] = (),
    ) -> None:
        self.name = name
        self._command = command
        self._log = logs / f"{name}.log"
        self._say = say
        self._more = environment or {}
        self._descriptors = descriptors
        self._lock = threading.Lock()
        self._wanted = False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process is there at this moment."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the program unless it runs already."""
        with self._lock:
            if self._wanted:
                return
            self._wanted = True
            self._launch()

    def stop(self) -> None:
        """Kill the program, as a power cut would, and leave it down."""
        with self._lock:
            self._wanted = False
            process = self._process
        if process is not None:
            process.kill()
            process.wait(timeout=STOP_LIMIT_S)

    def _launch(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env={**environment(), **self._more},
                pass_fds=self._descriptors,
            )
        threading.Thread(target=self._watch, args=(self._process,), daemon=True).start()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        with self._lock:
            again = self._wanted and self._process is process
        if not again:
            return
        self._say(f"{self.name} ended ({code}), starting it again; see {self._log.name}")
        time.sleep(RESTART_DELAY_S)
        with self._lock:
            if self._wanted and self._process is process:
                self._launch()


def environment() -> dict[str, str]:
    """Return the environment of programs inside: nothing of the user's but the search path."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"
    shim = layout.INSIDE_BIN / "containerd"
    return {"PATH": f"{shim}:{path}", "TMPDIR": str(layout.INSIDE_TMP), "HOME": "/run/devcluster"}


def run(*command: str, stdin: int | None = None, limit_s: float = RUN_LIMIT_S) -> str:
    """Run a short command and return its output, or raise with what it said."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            capture_output=True,
            text=True,
            timeout=limit_s,
            env=environment(),
            check=False,
        )
    except FileNotFoundError as exc:
        raise DevClusterError(f"{command[0]} is not installed") from exc
    except subprocess.TimeoutExpired as exc:
        raise DevClusterError(f"{' '.join(command)}: not done after {limit_s:.0f} s") from exc
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise DevClusterError(f"{' '.join(command)}: exit {done.returncode}: {said}")
    return done.stdout


def become(command: list[str], environment: dict[str, str] | None = None) -> NoReturn:
    """Replace this process by another program, found on the search path."""
    try:
        os.execvpe(command[0], command, environment or os.environ)  # noqa: S606  # no shell wanted
    except FileNotFoundError as exc:
        raise DevClusterError(f"{command[0]} is not installed") from exc


def kill_and_wait(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that we started and wait until it is gone."""
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=STOP_LIMIT_S)
