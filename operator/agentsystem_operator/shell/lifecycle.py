"""The order in which the operator's parts start and, above all, stop (I20).

Start: probes, then wait for the apiserver and the CRD, caches, and only then stand for leader.
Stop: take no more work, let running passes finish, free the Lease, end the watches.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agentsystem_operator.shell.elector import Elector
from agentsystem_operator.shell.startup import Startup
from agentsystem_operator.shell.workforce import Workforce

DRAIN_S = 10.0
"""Of the 30 s that a pod has: a pass is seconds, and what is cut short goes on elsewhere."""

END_S = 5.0
"""kopf ends in 0.1 s; a connection that hangs may not hold us up."""

logger = logging.getLogger(__name__)
Endless = Callable[[], Coroutine[Any, Any, None]]


class Caches(Protocol):
    """Everything that has to be seen before anything is decided."""

    async def wait(self) -> None:
        """Return when enough is seen to begin."""


class PartEnded(Exception):
    """A part that should run for ever ended: the process must end too, and be restarted."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts, by when they start."""

    startup: Startup
    caches: Caches
    elector: Elector
    workforce: Workforce
    fill: Mapping[str, Endless]
    """Watches and the like: started when the cluster is there."""
    ends: frozenset[str]
    """Names of those that end by themselves when they see `stop`."""
    lead: Mapping[str, Endless]
    """Election and what serves the workers: started when the caches are filled."""
    close: Sequence[Callable[[], Awaitable[None]]]
    """Called at the very end, in order."""


class Lifecycle:
    """Runs a plan until told to stop."""

    def __init__(self, plan: Plan, *, stop: asyncio.Event) -> None:
        self._plan = plan
        self._stop = stop
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Return after an orderly stop; raises what ended a part otherwise."""
        begin = asyncio.create_task(self._begin(), name="begin")
        self._tasks["begin"] = begin
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await self._watch_over(stopping)
        finally:
            stopping.cancel()
            await self._end()

    async def _begin(self) -> None:
        await self._plan.startup.wait()
        self._start(self._plan.fill)
        await self._plan.caches.wait()
        logger.info("caches filled")
        self._start(self._plan.lead)

    def _start(self, parts: Mapping[str, Endless]) -> None:
        for name, part in parts.items():
            self._tasks[name] = asyncio.create_task(part(), name=name)

    async def _watch_over(self, stopping: asyncio.Task[bool]) -> None:
        while not stopping.done():
            running = [task for task in self._tasks.values() if not _finished_well(task)]
            # A second at most until parts that were started meanwhile are watched too.
            await asyncio.wait(
                [stopping, *running], timeout=1.0, return_when=asyncio.FIRST_COMPLETED
            )
            for task in running:
                if task.done() and not _finished_well(task):
                    task.result()
                    raise PartEnded(task.get_name())

    async def _end(self) -> None:
        logger.info("stopping")
        await self._plan.workforce.drain(DRAIN_S)
        await self._cancel(*self._plan.lead, "begin")
        await self._plan.elector.release()
        self._stop.set()
        own = [task for name, task in self._tasks.items() if name in self._plan.fill]
        await self._cancel(*(name for name in self._plan.fill if name not in self._plan.ends))
        if own:  # what ends by itself is given a moment to close its connections
            await asyncio.wait(own, timeout=END_S)
        await self._cancel(*self._plan.fill)
        for close in self._plan.close:
            await close()
        logger.info("stopped")

    async def _cancel(self, *names: str) -> None:
        tasks = [task for name in names if (task := self._tasks.get(name)) is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _finished_well(task: asyncio.Task[None]) -> bool:
    """Say whether a task is the beginning and ended as it should."""
    return (
        task.get_name() == "begin"
        and task.done()
        and not task.cancelled()
        and task.exception() is None
    )
