"""The ledger: what has been spent of each period, and what is reserved for answers under way.

Invariants, kept by tests/contract/runtime/test_ledgers.py over every ledger:
- settled + reserved <= cap after each reservation, as long as no charge is above what was reserved;
- a reservation that is neither settled nor renewed is gone `LEASE_S` after it was made;
- settling the same hold again within `REMEMBERED_S` changes nothing, so an acknowledgement that was
  lost is no second charge. A hold whose lease has ended is charged when it is settled late.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from agent_runtime.cost.budget import Totals

LEASE_S = 60.0
"""After a process was killed its reservations bind money for so long."""
REMEMBERED_S = 120.0
"""How long a settled hold is known as settled: longer than anybody goes on retrying it."""


class Ledger(Protocol):
    """One ledger of all who share it; amounts are nano-USD. Raises `StoreUnavailable`."""

    async def reserve(self, period: str, hold: str, nano: int, cap: int) -> tuple[bool, Totals]:
        """Reserve if it fits under the cap; return whether it did, and the totals after it."""
        ...

    async def settle(self, period: str, hold: str, nano: int) -> Totals:
        """Turn a reservation into a charge; 0 only releases it."""
        ...

    async def renew(self, period: str, holds: Iterable[str]) -> Totals:
        """Let leases last `LEASE_S` from now; return the totals."""
        ...

    async def close(self) -> None:
        """Let go of what the ledger holds open."""
        ...


class Book:
    """One period in memory."""

    def __init__(self) -> None:
        self._settled = self._reserved = 0
        self._open: dict[str, tuple[int, float]] = {}
        self._done: dict[str, float] = {}
        self._earliest = float("inf")

    def reserve(self, hold: str, nano: int, cap: int, now: float) -> tuple[bool, Totals]:
        """See `Ledger`."""
        self._sweep(now)
        if hold not in self._open:
            if self._settled + self._reserved + nano > cap:
                return False, self.totals(now)
            self._open[hold] = (nano, now + LEASE_S)
            self._reserved += nano
            self._earliest = min(self._earliest, now + LEASE_S)
        return True, self.totals(now)

    def settle(self, hold: str, nano: int, now: float) -> Totals:
        """See `Ledger`."""
        self._sweep(now)
        if hold not in self._done:
            held, _ = self._open.pop(hold, (0, 0.0))
            self._reserved -= held
            self._settled += nano
            self._done[hold] = now + REMEMBERED_S
            self._earliest = min(self._earliest, now + REMEMBERED_S)
        return self.totals(now)

    def renew(self, holds: Iterable[str], now: float) -> Totals:
        """See `Ledger`."""
        self._sweep(now)
        for hold in holds:
            if found := self._open.get(hold):
                self._open[hold] = (found[0], now + LEASE_S)
        return self.totals(now)

    def totals(self, now: float) -> Totals:
        """Return what is spent and reserved."""
        self._sweep(now)
        return Totals(self._settled, self._reserved)

    def _sweep(self, now: float) -> None:
        if now < self._earliest:
            return
        for hold in [hold for hold, (_, until) in self._open.items() if until <= now]:
            self._reserved -= self._open.pop(hold)[0]
        self._done = {hold: until for hold, until in self._done.items() if until > now}
        ends = [until for _, until in self._open.values()]
        self._earliest = min([*ends, *self._done.values()], default=float("inf"))


_PERIODS = 2  # the current one, and the one before for what began in it


class MemoryLedger:
    """A ledger of this process alone: what is spent is forgotten with it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._books: dict[str, Book] = {}

    async def reserve(self, period: str, hold: str, nano: int, cap: int) -> tuple[bool, Totals]:
        """See `Ledger`."""
        return self._book(period).reserve(hold, nano, cap, self._clock())

    async def settle(self, period: str, hold: str, nano: int) -> Totals:
        """See `Ledger`."""
        return self._book(period).settle(hold, nano, self._clock())

    async def renew(self, period: str, holds: Iterable[str]) -> Totals:
        """See `Ledger`."""
        return self._book(period).renew(holds, self._clock())

    async def close(self) -> None:
        """Nothing is held open."""

    def _book(self, period: str) -> Book:
        if (book := self._books.get(period)) is None:
            book = self._books[period] = Book()
            while len(self._books) > _PERIODS:
                del self._books[next(iter(self._books))]
        return book
