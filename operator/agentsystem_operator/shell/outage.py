"""What the whole operator does when the apiserver does not answer or says it is overloaded.

The queue is paused, one prober asks until there is an answer, then the queue goes on. A single
failing object (a broken webhook answers 5xx too) costs one probe: the apiserver answers it at once.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

from agentsystem_operator import ports
from agentsystem_operator.shell.queue import Queue

PROBE_TIMEOUT_S = 2.0
PROBE_EVERY_S = (0.5, 2.0)
"""From first to last: the queue goes on at most 2 + 2 s after the apiserver answers again."""

logger = logging.getLogger(__name__)


class Outage:
    """Pauses a queue while the apiserver is away."""

    def __init__(self, queue: Queue[Any], *, probe: Callable[[], Awaitable[None]]) -> None:
        self._queue = queue
        self._probe = probe
        self._begun = asyncio.Event()
        self._not_before = 0.0

    def report(self, exc: ports.ClusterUnreachable) -> None:
        """Pause the queue because a call found the apiserver unreachable or overloaded."""
        now = asyncio.get_running_loop().time()
        self._not_before = max(self._not_before, now + (exc.retry_after_s or 0.0))
        self._queue.pause()
        self._begun.set()

    async def run(self) -> None:
        """Probe during each outage; only cancellation ends it."""
        while True:
            await self._begun.wait()
            failures = await self._wait_out()
            self._begun.clear()
            if failures:
                logger.warning("apiserver answers again", extra={"probes": failures + 1})
            self._queue.resume(after_outage=bool(failures))

    async def _wait_out(self) -> int:
        """Return how many probes failed before one succeeded."""
        failures = 0
        while True:
            if (rest := self._put_off_s()) > 0:
                # Looked at again afterwards: a pass under way may have been asked for more.
                await asyncio.sleep(rest)
            elif not await self._answers():
                failures += 1
                await self._pause_before_probe(failures)
            elif self._put_off_s() <= 0:
                return failures

    async def _pause_before_probe(self, failures: int) -> None:
        if failures == 1:
            logger.warning("apiserver unreachable; nothing is written until it answers")
        delay = min(PROBE_EVERY_S[0] * 2.0 ** min(failures - 1, 10), PROBE_EVERY_S[1])
        await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 -- only spreads load

    def _put_off_s(self) -> float:
        return self._not_before - asyncio.get_running_loop().time()

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await self._probe()
        except ports.ClusterUnreachable as exc:
            now = asyncio.get_running_loop().time()
            self._not_before = max(self._not_before, now + (exc.retry_after_s or 0.0))
            return False
        except (ports.ClusterError, TimeoutError) as exc:
            return not isinstance(exc, TimeoutError)
        return True
