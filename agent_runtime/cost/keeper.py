"""Keeps to the budget: reserves before a call, settles after it, and knows the budget's state.

Ordering is safety: a reservation is in the ledger before the provider is asked. While the ledger is
away a process may go on with a hundredth of what was last known to be left:

    unbooked reservations + unacknowledged charges + new reservation <= left / 100

25 USD of which 5 are left: each pod may spend 0.05 USD until the ledger is back. A process that has
not seen the totals of the running period may spend nothing: not known is not enough.
"""

import asyncio
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from agent_runtime import upkeep
from agent_runtime.cost import budget as budgets
from agent_runtime.cost import levels, refusals, settling
from agent_runtime.cost.accounts import Payee
from agent_runtime.cost.budget import Budget, State, Totals
from agent_runtime.cost.ledger import Ledger
from agent_runtime.cost.settling import Charge, Settler
from agent_runtime.observability.budget_metrics import BudgetMetrics
from agent_runtime.providers.base import ProviderError
from agent_runtime.stores.base import StoreUnavailable

TICK_S = 5.0
"""Between two renewals of all leases, which last a minute, and two looks at the totals."""
SOON_S = 1.0
"""The same while the ledger is away or the budget exhausted: then somebody waits for the end."""
ATTEMPTS = 2
"""To reserve, before a ledger that has just failed counts as away: a connection may be new."""
CREDIT = 100
"""Part of what is left that each process may spend while the ledger is away: a hundredth."""
MAX_UNSETTLED = 10_000
"""Charges kept for a ledger that is away; with more nothing is spent, however little it is."""

_log = logging.getLogger(__name__)


class Hold:
    """A reservation; `booked`: the ledger has it."""

    __slots__ = ("_settle", "booked", "id", "nano", "period")

    def __init__(
        self,
        id: str,  # noqa: A002  # the ledger's word
        period: str,
        nano: int,
        *,
        booked: bool,
        settle: Callable[["Hold", int], None],
    ) -> None:
        self.id = id
        self.period = period
        self.nano = nano
        self.booked = booked
        self._settle: Callable[[Hold, int], None] | None = settle

    def settle(self, nano: int) -> None:
        """Charge what it was for; 0 gives it back. Only the first time counts."""
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(self, nano)


class Keeper:
    """Of one process; `keeping` runs it."""

    def __init__(
        self,
        budget: Budget,
        ledger: Ledger,
        metrics: BudgetMetrics,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        pause_s: float = settling.PAUSE_S,
    ) -> None:
        self.budget = budget
        self._ledger = ledger
        self._metrics = metrics
        self._now = now
        self._process, self._numbers = secrets.token_hex(8), itertools.count(1)
        self._open: dict[str, str] = {}
        """The periods of reservations that the ledger has, or may have."""
        self._unbooked_nano = 0
        self._settler = Settler(ledger, self._saw, self._went, pause_s=pause_s)
        self._period, self.ends = "", now()
        self._seen_in = ""
        self._away = False
        self._judged = State.AVAILABLE
        self.totals = Totals()
        """What the ledger last said of this period."""
        metrics.measures(self, self._settler.__len__)

    @property
    def state(self) -> State:
        """The budget's state; unknown while the ledger is away, or before it was ever seen."""
        self._turn_page()
        return State.UNKNOWN if self._away or not self._seen_in else self._judged

    @property
    def last_known(self) -> State:
        """The state as it last was known, which is never `UNKNOWN`."""
        self._turn_page()
        return self._judged

    def may_serve_stale(self) -> bool:
        """Return whether an answer whose time is over is better than paying for one now."""
        return levels.may_be_stale(self.last_known)

    async def reserve(self, payee: Payee, nano: int) -> Hold:
        """Reserve, or raise the `ProviderError` that says why the provider is not asked."""
        self._turn_page()
        if self._judged is State.EXHAUSTED:
            raise self._spent(payee, nano)
        period = self._period
        if not self._away:
            name = self._new_name()
            try:
                fits = await self._booked(name, period, nano)
            except StoreUnavailable as exc:
                self._went(exc)
            else:
                if not fits:
                    raise self._spent(payee, nano)
                return Hold(name, period, nano, booked=True, settle=self._settle)
        if not self._has_credit(nano):
            raise self._refused(refusals.unknown(payee, retry_after_s=SOON_S))
        self._unbooked_nano += nano
        # a name of its own: the ledger may know the one that it was asked for as released
        return Hold(self._new_name(), period, nano, booked=False, settle=self._settle)

    def unpriced(self, payee: Payee) -> ProviderError:
        """Return why a model is not asked whose price nobody knows."""
        return self._refused(refusals.unpriced(payee))

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator["Keeper"]:
        """Renew leases and watch the totals while inside; at the end wait for open charges."""
        await self.look()
        async with upkeep.going_on(budget=self._watch, settling=self._settler.run):
            try:
                yield self
            finally:
                await self._settler.finish()

    async def look(self) -> None:
        """Renew this process's leases, and see what the ledger says."""
        self._turn_page()
        periods: dict[str, list[str]] = {self._period: []}
        for hold, period in self._open.items():
            periods.setdefault(period, []).append(hold)
        try:
            for period, holds in periods.items():
                self._saw(period, await self._ledger.renew(period, holds))
        except StoreUnavailable as exc:
            self._went(exc)

    def _new_name(self) -> str:
        return f"{self._process}-{next(self._numbers)}"

    async def _booked(self, name: str, period: str, nano: int) -> bool:
        """Return whether the ledger has taken a reservation; raise if it may or may not have."""
        cap = self.budget.amount_nano - self._unbooked_nano
        self._open[name] = period
        fits = None
        try:
            fits, totals = await self._asked(name, period, nano, cap)
        finally:
            if not fits:
                del self._open[name]
            if fits is None:  # failed or given up, and perhaps reserved nevertheless
                self._settler.add(Charge(period, name, 0))
        self._saw(period, totals, refused=not fits)
        return fits

    async def _asked(self, name: str, period: str, nano: int, cap: int) -> tuple[bool, Totals]:
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._ledger.reserve(period, name, nano, cap)
            except StoreUnavailable:
                continue
        return await self._ledger.reserve(period, name, nano, cap)

    def _settle(self, hold: Hold, nano: int) -> None:
        if nano > hold.nano:
            self._metrics.overrun(nano - hold.nano)
        self._open.pop(hold.id, None)
        if not hold.booked:
            self._unbooked_nano -= hold.nano
        if nano or hold.booked:
            self._settler.add(Charge(hold.period, hold.id, nano))

    def _has_credit(self, nano: int) -> bool:
        if self._seen_in != self._period or len(self._settler) >= MAX_UNSETTLED:
            return False
        left = self.budget.amount_nano - self.totals.used
        return self._unbooked_nano + self._settler.nano + nano <= left // CREDIT

    async def _watch(self) -> None:
        while True:
            hurry = self.state in (State.UNKNOWN, State.EXHAUSTED)
            await asyncio.sleep(SOON_S if hurry else TICK_S)
            await self.look()

    def _turn_page(self) -> None:
        now = self._now()
        if now < self.ends and self._period:
            return
        self._period, self.ends = self.budget.period.key(now), self.budget.period.ends(now)
        self.totals = Totals()
        self._become(State.AVAILABLE)

    def _saw(self, period: str, totals: Totals, *, refused: bool = False) -> None:
        if self._away:
            _log.info("ledger of the budget can be used again")
        self._away = False
        if period != self._period:
            return
        self._seen_in, self.totals = period, totals
        self._become(budgets.judge(self.budget, self._judged, totals, refused=refused))

    def _went(self, exc: StoreUnavailable) -> None:
        if not self._away:
            _log.warning("what is left of the budget is unknown", extra={"why": str(exc)})
        self._away = True

    def _become(self, state: State) -> None:
        if state is not self._judged:
            fields = {"state": state.name.lower(), "before": self._judged.name.lower()}
            _log.info("budget state changed", extra=fields)
        self._judged = state

    def _spent(self, payee: Payee, nano: int) -> ProviderError:
        fits_later = nano <= self.budget.amount_nano - self.totals.settled
        if fits_later:
            return self._refused(refusals.in_the_way(payee, nano))
        left_s = (self.ends - self._now()).total_seconds()
        left_nano = max(self.budget.amount_nano - self.totals.settled, 0)
        return self._refused(
            refusals.spent(payee, nano, left_nano=left_nano, ends=self.ends, retry_after_s=left_s)
        )

    def _refused(self, failure: ProviderError) -> ProviderError:
        self._metrics.refused(failure.error_class)
        return failure
