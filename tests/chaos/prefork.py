"""Starts operators without their imports: everything is loaded once, each operator is a fork of it.

A start costs a second and a half of processor time otherwise, and the sweeps make thousands. What
runs is the same `main`, in a process of its own that can be killed and frozen like any other.

`python -m tests.chaos.prefork` reads `{"arguments", "environment", "log"}` per line and writes
`{"started": pid}`, and `{"ended": pid, "code": n}` when one is over. At the end of its input it
kills whatever still runs. `Press` is the other end of these pipes.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from tests.conftest import ROOT


class Forked:
    """One operator's process, as asyncio would show a child of ours."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    async def wait(self) -> int | None:
        """Return its exit code, once it has one; minus the signal that ended it."""
        await self._ended.wait()
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def ended(self, code: int) -> None:
        """Take note of its end."""
        self.returncode = code
        self._ended.set()


class Press:
    """Makes operators out of one loaded process."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._starting: asyncio.Queue[asyncio.Future[Forked]] = asyncio.Queue()
        self._running: dict[int, Forked] = {}

    async def start(self) -> None:
        """Load everything; operators can be asked for right away."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.chaos.prefork"),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._listening = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """End the loaded process, and all operators with it."""
        if self._process is None or self._listening is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._listening

    async def operator(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], log: Path
    ) -> Forked:
        """Start an operator whose output is appended to a file."""
        assert self._process is not None
        assert self._process.stdin is not None
        answer: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
        self._starting.put_nowait(answer)
        asked = {"arguments": arguments, "environment": environment, "log": str(log)}
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        return await asyncio.shield(answer)

    async def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told: dict[str, int] = json.loads(line)
            if "started" in told:
                found = self._running[told["started"]] = Forked(told["started"])
                self._starting.get_nowait().set_result(found)
            else:
                self._running.pop(told["ended"]).ended(told["code"])


def main() -> None:
    """Load the operator and fork on demand."""
    from agentsystem_operator import __main__ as operator

    gc.freeze()  # or each fork's first collection would copy all pages
    woken, waker = socket.socketpair()
    for end in (woken, waker):
        end.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the other end of the pipe decides
    children: set[int] = set()
    orders = os.fdopen(0, "rb", buffering=0)  # what is buffered no selector would tell of
    with selectors.DefaultSelector() as selector:
        selector.register(orders, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is woken:
                    woken.recv(4096)
                    _bury(children)
                elif line := orders.readline():
                    children.add(_fork(operator, json.loads(line)))
                else:
                    _kill(children)
                    return


def _fork(operator: Any, asked: Mapping[str, Any]) -> int:  # Any: a module
    pid = os.fork()
    if pid == 0:
        _run(operator, asked)
    _say({"started": pid})
    return pid


def _run(operator: Any, asked: Mapping[str, Any]) -> NoReturn:
    """Be an operator; never returns into the loop of the parent."""
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        sink = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, source in ((0, nothing), (1, sink), (2, sink)):
            os.dup2(source, descriptor)
        os.environ.clear()
        os.environ.update(asked["environment"])
        code = operator.main(asked["arguments"])
    except BaseException:  # noqa: BLE001 -- nothing may return into the parent's loop
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _bury(children: set[int]) -> None:
    """Tell of the children that have ended."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        children.discard(pid)
        _say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _kill(children: set[int]) -> None:
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    while children:
        _bury(children)


def _say(told: Mapping[str, int]) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


if __name__ == "__main__":
    main()
