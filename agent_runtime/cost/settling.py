"""Brings charges into the ledger, however long it is away; nobody's answer waits for that.

Invariant: a charge is under one id from its reservation on, and the ledger knows an id that it has
settled; so each is tried until it is acknowledged, and counts once.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from agent_runtime.cost.budget import Totals
from agent_runtime.cost.ledger import Ledger
from agent_runtime.stores.base import StoreUnavailable

AT_ONCE = 64
"""So many travel together: a ledger that is a millisecond away takes thousands a second."""
PAUSE_S = 1.0
"""Upper bound of the pause before a ledger that failed is tried again, with full jitter."""
CLOSE_S = 3.0
"""How long the process waits at its end for charges that are still under way."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a reservation turns into; 0 releases it."""

    period: str
    hold: str
    nano: int


class Settler:
    """Of one process; `run` has to run."""

    def __init__(
        self,
        ledger: Ledger,
        saw: Callable[[str, Totals], None],
        went: Callable[[StoreUnavailable], None],
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        """`saw` is told what the ledger says of a period, `went` that it is away."""
        self._ledger = ledger
        self._saw = saw
        self._went = went
        self._pause_s = pause_s
        self._open: dict[str, Charge] = {}
        self._came = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.nano = 0
        """The sum of what the ledger has not acknowledged."""

    def __len__(self) -> int:
        """Return how many charges the ledger has not acknowledged."""
        return len(self._open)

    def add(self, charge: Charge) -> None:
        """Begin to settle a charge."""
        self._open[charge.hold] = charge
        self.nano += charge.nano
        self._idle.clear()
        self._came.set()

    async def run(self) -> None:
        """Settle what comes, for ever."""
        while True:
            if not self._open:
                self._idle.set()
                self._came.clear()
                await self._came.wait()
            batch = list(islice(self._open.values(), AT_ONCE))
            if not all(await asyncio.gather(*map(self._settled, batch))):
                pause_s = self._pause_s * random.uniform(0.1, 1.0)  # noqa: S311  # no secret
                await asyncio.sleep(pause_s)

    async def finish(self) -> None:
        """Give what is open a last moment; what the ledger cannot take then is lost, and said."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._idle.wait()
        except TimeoutError:
            lost = sum(charge.nano > 0 for charge in self._open.values())
            _log.warning("charges lost: no ledger", extra={"charges": lost})

    async def _settled(self, charge: Charge) -> bool:
        try:
            totals = await self._ledger.settle(charge.period, charge.hold, charge.nano)
        except StoreUnavailable as exc:
            self._went(exc)
            return False
        del self._open[charge.hold]
        self.nano -= charge.nano
        self._saw(charge.period, totals)
        return True
