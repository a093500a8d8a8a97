"""One operator, as a kubelet would run it: started again, at once, whenever it is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.chaos.prefork import Forked, Press

STOP_S = 30.0


class Supervised:
    """An operator process that comes back after each end, until it is stopped."""

    def __init__(
        self, press: Press, *, kubeconfig: Path, log: Path, namespace: str, identity: str
    ) -> None:
        self.log = log
        self.starts = 0
        self._press = press
        self._arguments = [
            *("--kubeconfig", str(kubeconfig), "--namespaces", namespace),
            *("--namespace", namespace, "--identity", identity),
            *("--metrics-host", "127.0.0.1", "--metrics-port", "0"),
        ]
        self._env = {**os.environ, "POD_NAME": identity}
        self._process: Forked | None = None
        self._up = asyncio.Event()
        self._up.set()
        self._supervisor: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run it from now on."""
        self._supervisor = asyncio.create_task(self._supervise())

    async def kill(self) -> None:
        """End it as a power cut would; it comes back at once unless it is held down."""
        await self._end(signal.SIGKILL)

    async def hold_down(self) -> None:
        """Kill it, and let it come back only after `let_up`."""
        self._up.clear()
        await self.kill()

    def let_up(self) -> None:
        """Let it come back."""
        self._up.set()

    def freeze(self) -> None:
        """Stop its clockwork, as a paused machine does."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    async def stop(self) -> int | None:
        """End it politely and for good; returns its exit code, None when it was not running."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        process = self._process
        if process is None or process.returncode is not None:
            return None
        self._signal(signal.SIGCONT)
        await self._end(signal.SIGTERM)
        return process.returncode

    def lines(self) -> list[dict[str, Any]]:
        """Return what it logged, over all its lives; a line that a kill cut off is left out."""
        found = []
        for line in self.log.read_text().splitlines() if self.log.exists() else []:
            with suppress(json.JSONDecodeError):
                found.append(json.loads(line))
        return found

    async def _supervise(self) -> None:
        while True:
            await self._up.wait()
            self._process = await self._press.operator(
                self._arguments, environment=self._env, log=self.log
            )
            self.starts += 1
            await self._process.wait()

    async def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.send_signal(signal.SIGKILL)
            await process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
