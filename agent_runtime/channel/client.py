"""Keeps a connection to the operator for as long as there is one to be had. One task, no queue.

Nothing that happens here may touch a request: it only reads what is counted anyway, and every
fault ends in another attempt, later.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from agent_runtime.channel import folder, link
from agent_runtime.channel.folder import Address, Credentials, NoChannel
from agent_runtime.channel.link import Elsewhere, Ended, Report
from agent_runtime.observability.logs import place_of

PAUSE_FIRST_S, PAUSE_MAX_S = 0.5, 5.0
"""Full jitter: all pods of a cluster lose a leader at once. The longest pause is half of what the
operator takes for silence, so that a change of leaders is no silence."""
REDIRECTS_MAX = 3
"""In a row: two processes that name each other lead nowhere."""
_DOUBLINGS_MAX = 10

_log = logging.getLogger(__name__)


def pause_s(faults: int, chance: float) -> float:
    """Return how long to rest after so many faults in a row: full jitter, doubled, bounded.

    chance * min(5, 0.5 * 2^(n-1)); 3rd fault, chance 0.5 -> 1 s.
    """
    return chance * min(PAUSE_MAX_S, PAUSE_FIRST_S * 2.0 ** min(faults - 1, _DOUBLINGS_MAX))


@dataclass(frozen=True, slots=True)
class Pace:
    """Time and chance, so that tests can own them."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random


class Client:
    """The pod's end of the channel."""

    def __init__(self, place: Path, report: Report, pace: Pace | None = None) -> None:
        """`place` is the folder of `channel.folder`; `report` tells what is to be said now."""
        self._place = place
        self._report = report
        self._pace = pace or Pace()
        self._changed = asyncio.Event()
        self._faults = 0
        self._told = ""

    def changed(self) -> None:
        """Report as soon as possible: something is not as it was said to be."""
        self._changed.set()

    async def run(self) -> None:
        """Stay connected for ever; only cancellation ends it."""
        while True:
            try:
                await self._once()
            except (Ended, NoChannel) as exc:
                self._say(str(exc))
            except Exception as exc:  # noqa: BLE001  # whatever it is, requests must not feel it
                _log.error("channel broke", extra={"exception": place_of(exc)})
            self._faults += 1
            await self._pace.sleep(pause_s(self._faults, self._pace.random()))

    async def _once(self) -> None:
        credentials = await asyncio.to_thread(folder.read, self._place)
        at = credentials.address
        for _ in range(REDIRECTS_MAX + 1):
            try:
                await self._report_to(credentials, at)
            except Elsewhere as exc:
                at = exc.address
        raise Ended("redirected again and again")

    async def _report_to(self, credentials: Credentials, at: Address) -> None:
        async with link.connected(credentials, at) as connection:
            self._faults = 0
            self._say("")
            await connection.report(self._report, self._changed)

    def _say(self, fault: str) -> None:
        """Log what has changed: one line per outage and one per cure."""
        if fault == self._told:
            return
        if not fault:
            _log.info("channel open")
        elif not self._told:
            _log.info("channel closed", extra={"reason": fault})
        self._told = fault
