"""Real Redis and PostgreSQL servers for tests, each in a directory of its own.

They listen on a port of 127.0.0.1 that the system chose, can be killed and started again on the
same data, and end with the test.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent_runtime.stores.redis import Redis, RedisServer
from tests import ports

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


@dataclass
class Server:
    """One server on its own data."""

    command: Sequence[str]
    directory: Path
    port: int
    answers: Callable[[int], bool]
    """Whether what listens on a port is ready for work."""
    account: str | None = None
    """Who runs it, where root is refused."""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def password_file(self) -> Path:
        """Where its password stands, if it has one."""
        return self.directory / "password"

    @property
    def has_password(self) -> bool:
        """Whether it asks for one."""
        return self.password_file.exists()

    def start(self) -> None:
        """Start it, and return when it is ready for work."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=self.directory, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                user=self.account, group=self.account, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers(self.port):
            said = (self.directory / "log").read_text(errors="replace")[-2000:]
            assert self._process.poll() is None, f"the server ended: {said}"
            assert time.monotonic() < deadline, f"the server does not come up: {said}"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it and all its processes at once, with no chance to tidy up."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        _send(process.pid, signal.SIGSTOP)  # else it may make one more child meanwhile
        _, *children = family = _family(process.pid)
        for pid in family:
            _send(pid, signal.SIGKILL)
        process.wait(_STOP_SECONDS)
        # PostgreSQL does not start again while a process of before has its memory
        deadline = time.monotonic() + _STOP_SECONDS
        while any(map(_lives, children)) and time.monotonic() < deadline:
            time.sleep(0.01)

    def freeze(self) -> None:
        """Let it keep its connections and answer nothing."""
        assert self._process is not None
        for pid in _family(self._process.pid):
            _send(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        for pid in _family(self._process.pid):
            _send(pid, signal.SIGCONT)


def _family(pid: int) -> list[int]:
    """Return a process and its children: PostgreSQL's are groups of their own."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def _lives(pid: int) -> bool:
    """Say whether a process still runs; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def stores_of(**servers: Server) -> dict[str, object]:
    """Return the config's section `stores` for running servers, by kind."""
    own = {"redis": {}, "postgres": {"database": "postgres", "user": "agents"}}
    return {
        kind: {
            "host": "127.0.0.1",
            "port": server.port,
            **own[kind],
            **({"password": {"file": str(server.password_file)}} if server.has_password else {}),
        }
        for kind, server in servers.items()
    }


@contextlib.asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Redis]:
    """Yield a client of a Redis server."""
    redis = Redis(RedisServer("127.0.0.1", server.port))
    redis.start()
    try:
        yield redis
    finally:
        await redis.close()


@contextlib.contextmanager
def redis_server(*arguments: str, password: str = "") -> Iterator[Server]:
    """Run a Redis server that writes every change to the disk before it answers."""
    with tempfile.TemporaryDirectory(prefix="redis-") as directory:
        port = ports.free()
        command = [
            "redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", directory,
            "--appendonly", "yes", "--appendfsync", "always", "--save", "",
        ]  # fmt: skip
        if password:
            command += ["--requirepass", password]
            (Path(directory) / "password").write_text(password)
        server = Server([*command, *arguments], Path(directory), port, _redis_answers)
        with _running(server):
            yield server


@contextlib.contextmanager
def postgres_server(*arguments: str) -> Iterator[Server]:
    """Run a PostgreSQL server with the user `agents`, and the database `postgres`."""
    account = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="postgres-") as directory:
        data, port = Path(directory) / "data", ports.free()
        if account:
            shutil.chown(directory, account, account)
        (Path(directory) / "password").write_text("a password")
        subprocess.run(
            [
                _postgres("initdb"), "--pgdata", str(data), "--username", "agents",
                "--auth", "scram-sha-256", "--pwfile", f"{directory}/password",
                "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions",
            ],
            cwd=directory, check=True, capture_output=True, user=account, group=account,
        )  # fmt: skip
        command = [
            _postgres("postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", "",
        ]  # fmt: skip
        server = Server(
            [*command, *arguments], Path(directory), port, _postgres_answers, account=account
        )
        with _running(server):
            yield server


@contextlib.contextmanager
def _running(server: Server) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.kill()


def _redis_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))  # not "-LOADING"
    except OSError:
        return False


def _postgres_answers(port: int) -> bool:
    command = [_postgres("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(command, check=False).returncode == 0


def _postgres(program: str) -> str:
    """Return the path of one of PostgreSQL's programs: Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    return str(found[-1]) if found else program
