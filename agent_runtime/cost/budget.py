"""A budget and its states. Pure: totals and time go in, a state comes out.

Invariant: within a period `settled` only grows, so a state can only fall back as far as unused
reservations carried it; hysteresis keeps it from flickering with each of them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum

HYSTERESIS = 2
"""Percent of the amount by which use must fall below a threshold before its state ends."""
FULL = 99
"""Percent from which on a reservation that finds no room means that the budget is spent. Below it
the request was too large for what is left, and others may fit."""


class State(IntEnum):
    """The state; its number is the metric's value, its name the word of channel and headers."""

    UNKNOWN = -1
    """The ledger cannot be reached, so nobody knows what is left."""
    AVAILABLE = 0
    """Everything as configured."""
    WARNING = 1
    """Use has reached `warnAt`; nothing changes but what is shown."""
    DEGRADED = 2
    """Use has reached `degradeAt`; answers cost less."""
    EXHAUSTED = 3
    """The amount is spent; nothing that costs money is asked until the next period."""


class Period(StrEnum):
    """How long a budget lasts; all begin at midnight UTC."""

    DAY = "Day"
    MONTH = "Month"

    def began(self, now: datetime) -> datetime:
        """Return when the period of an instant began."""
        day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        match self:
            case Period.DAY:
                return day
            case Period.MONTH:
                return day.replace(day=1)

    def ends(self, now: datetime) -> datetime:
        """Return when the next period begins."""
        began = self.began(now)
        match self:
            case Period.DAY:
                return began + timedelta(days=1)
            case Period.MONTH:
                return (began + timedelta(days=32)).replace(day=1)

    def key(self, now: datetime) -> str:
        """Return the period's name in the ledger: another kind of period has other names."""
        return f"{self.value}-{self.began(now):%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class Totals:
    """What the ledger says of one period, in nano-USD."""

    settled: int = 0
    reserved: int = 0

    @property
    def used(self) -> int:
        """What is not free any more."""
        return self.settled + self.reserved


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent in each period; thresholds are percent of it."""

    amount_nano: int
    period: Period = Period.MONTH
    warn_at: int = 80
    degrade_at: int = 90


def judge(budget: Budget, before: State, totals: Totals, *, refused: bool = False) -> State:
    """Return the state after these totals; `refused`: a reservation just found no room in them.

    100 USD, warned at 80 and degraded at 95 %: 94 used is WARNING; 95 DEGRADED; 94 again still
    DEGRADED; 92 WARNING; a reservation refused at 99.5 EXHAUSTED, until less than 97 are used.
    """

    def reaches(percent: int, state: State) -> bool:
        edge = percent - (HYSTERESIS if before >= state else 0)
        return totals.used * 100 >= budget.amount_nano * edge

    spent = totals.settled >= budget.amount_nano
    if spent or ((refused or before is State.EXHAUSTED) and reaches(FULL, State.EXHAUSTED)):
        return State.EXHAUSTED
    if reaches(budget.degrade_at, State.DEGRADED):
        return State.DEGRADED
    return State.WARNING if reaches(budget.warn_at, State.WARNING) else State.AVAILABLE
