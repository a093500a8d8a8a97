"""Real Redis and PostgreSQL servers for tests, each in a directory of its own.

They listen on a port of 127.0.0.1 that the system chose, can be killed and started again on the
same data, and end with the test.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Server:
    """One server on its own data."""

    command: Sequence[str]
    directory: Path
    port: int
    password: str = ""
    account: str | None = None
    """Who runs it, where root is refused."""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int:
        """The running server's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and return when it accepts connections."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=self.directory, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                user=self.account, group=self.account, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while not self._accepts():
            said = (self.directory / "log").read_text(errors="replace")[-2000:]
            assert self._process.poll() is None, f"the server ended: {said}"
            assert time.monotonic() < deadline, f"the server does not come up: {said}"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it and all its processes as a loss of power would, the disk's cache aside."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Let it keep its connections and answer nothing."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.killpg(self.pid, signal.SIGCONT)

    def _end(self, sent: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
            os.killpg(process.pid, signal.SIGCONT)  # it may be frozen
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(_STOP_SECONDS)

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.2).close()
        except OSError:
            return False
        return True


@contextlib.contextmanager
def redis_server(*arguments: str, password: str = "") -> Iterator[Server]:
    """Run a Redis server that writes every change to the disk before it answers."""
    with tempfile.TemporaryDirectory(prefix="redis-") as directory:
        port = free_port()
        command = [
            "redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", directory,
            "--appendonly", "yes", "--appendfsync", "always", "--save", "",
        ]  # fmt: skip
        if password:
            command += ["--requirepass", password]
        server = Server([*command, *arguments], Path(directory), port, password)
        server.start()
        try:
            yield server
        finally:
            server.kill()
