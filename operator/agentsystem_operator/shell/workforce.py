"""The workers: take a key, do a pass, account for how it ended. They run while we lead.

The one place that catches everything: a pass that breaks costs its own system a backoff, never
another system anything (I12, I13).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from agentsystem_operator import ports
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.shell.elector import Elector
from agentsystem_operator.shell.outage import Outage
from agentsystem_operator.shell.queue import Queue
from agentsystem_operator.shell.reconciler import Result

WORKERS = 24
"""A pass that writes all that a change needs holds one for some 10 ms a request, and on a busy
machine for 50 to 100. With 16 people's changes waited for a worker, not for the apiserver."""
STOP_S = 6.0
"""A write takes at most 5 s: a worker that is not done by then is stuck."""

logger = logging.getLogger(__name__)


class Stuck(Exception):
    """Workers did not stop although we lead no more: only the end of the process stops them."""


class Reconciles(Protocol):
    """Somebody who does passes."""

    async def reconcile(self, key: SystemKey) -> Result:
        """Do one pass over a system."""


class Workforce:
    """Starts workers when we begin to lead and stops them when we end."""

    def __init__(
        self,
        queue: Queue[SystemKey],
        reconciler: Reconciles,
        outage: Outage,
        *,
        passed: Callable[[str, float], None],
    ) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._outage = outage
        self._passed = passed

    async def run(self, elector: Elector, *, began: Callable[[], None]) -> None:
        """Work whenever we lead; raises Stuck when workers survive the end of leading."""
        while True:
            await elector.leading.wait()
            self._queue.moved()
            began()
            workers = [asyncio.create_task(self._work()) for _ in range(WORKERS)]
            try:
                await elector.following.wait()
            finally:
                await self._stop(workers)

    async def drain(self, within_s: float) -> None:
        """Take no more work and let running passes finish, for a while."""
        self._queue.close()
        try:
            async with asyncio.timeout(within_s):
                await self._queue.quiet.wait()
        except TimeoutError:
            logger.warning("passes cut short", extra={"running": self._queue.running})

    async def _stop(self, workers: list[asyncio.Task[None]]) -> None:
        for worker in workers:
            worker.cancel()
        _, alive = await asyncio.wait(workers, timeout=STOP_S)
        if alive:
            raise Stuck(f"{len(alive)} workers did not stop")

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            try:
                await self._pass(key)
            finally:
                self._queue.done(key)

    async def _pass(self, key: SystemKey) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        result = await self._outcome(key)
        self._passed(result, loop.time() - began)

    async def _outcome(self, key: SystemKey) -> str:
        try:
            return (await self._reconciler.reconcile(key)).value
        except ports.ClusterUnreachable as exc:
            self._queue.unreachable(key)
            self._outage.report(exc)
            return "unreachable"
        except ports.NotLeading:
            self._queue.add(key)
            return "stopped"
        except ports.ClusterError as exc:
            delay = self._queue.failed(key)
            logger.warning(
                "pass ended early",
                extra={
                    **_fields(key),
                    "reason": type(exc).__name__,
                    "error": str(exc),
                    "retry_s": delay,
                },
            )
            return Result.CONFLICT.value
        except Exception:
            delay = self._queue.failed(key)
            logger.exception("pass failed", extra={**_fields(key), "retry_s": delay})
            return "failed"


def _fields(key: SystemKey) -> dict[str, object]:
    return {"system": key.name, "namespace": key.namespace}
