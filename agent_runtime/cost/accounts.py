"""The sums of what was charged: per request, session, agent, tenant and day.

Requests add up in their receipts, agents and tenants in metrics, sessions and the day here. A
session's sum is what this process charged for it; the least recently used are forgotten.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent_runtime.cost import money
from agent_runtime.cost.budget import State
from agent_runtime.observability.metrics import Metrics
from agent_runtime.providers.receipt import Receipt

EXPENSIVE_NANO = money.USD
MAX_SESSIONS = 10_000
MAX_NAMED = 1_000  # models without a price that are said once each
_DAY_S = 86_400

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Payee:
    """Who is paid: a provider's model."""

    provider: str
    model: str


class Budgeted(Protocol):
    """Who knows how the budget is."""

    @property
    def state(self) -> State:
        """The budget's state."""


class Accounts:
    """Of one process."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
        budget: Budgeted | None = None,
    ) -> None:
        self.budget = budget
        """Who keeps to the budget, if there is one."""
        self._metrics = metrics.money
        self._clock = clock
        self._sessions: OrderedDict[tuple[str, str, str], int] = OrderedDict()
        self._day, self._today_nano = 0, 0
        self._unpriced: set[Payee] = set()

    def charge(
        self, receipt: Receipt, agent: str, payee: Payee, nano: int, *, estimated: bool
    ) -> None:
        """Add one charge to every sum that it belongs to."""
        was_cheap = receipt.cost_nano <= EXPENSIVE_NANO
        receipt.cost_nano += nano
        receipt.estimated |= estimated
        amount = nano / money.USD
        self._metrics.charged(agent, payee.provider, payee.model, usd=amount, estimated=estimated)
        self._metrics.charged_tenant(receipt.tenant, amount)
        self._add_to_day(nano)
        if receipt.session:
            self._add_to_session((receipt.tenant, agent, receipt.session), nano)
        if was_cheap and receipt.cost_nano > EXPENSIVE_NANO:
            self._metrics.expensive.labels(agent).inc()
            fields = {"agent": agent, "provider": payee.provider, "model": payee.model}
            cost = {"cost_usd": money.usd(receipt.cost_nano)}
            _log.warning("request costs more than 1 USD", extra=fields | cost)

    def without_price(self, receipt: Receipt, payee: Payee) -> None:
        """Take note of an answer whose cost nobody knows."""
        receipt.unpriced = True
        self._metrics.without_price(payee.provider, payee.model)
        if payee not in self._unpriced and len(self._unpriced) < MAX_NAMED:
            self._unpriced.add(payee)
            fields = {"provider": payee.provider, "model": payee.model}
            _log.warning("model without a price; its cost is unknown", extra=fields)

    def session_nano(self, receipt: Receipt, agent: str) -> int | None:
        """Return what this process charged for the request's session so far, if it has one."""
        if not receipt.session:
            return None
        return self._sessions.get((receipt.tenant, agent, receipt.session), 0)

    def show(self) -> None:
        """Bring the gauge of the day up to date: nobody charges at midnight."""
        self._add_to_day(0)

    def _add_to_day(self, nano: int) -> None:
        day = int(self._clock() // _DAY_S)
        if day != self._day:
            self._day, self._today_nano = day, 0
        self._today_nano += nano
        self._metrics.today.set(self._today_nano / money.USD)

    def _add_to_session(self, key: tuple[str, str, str], nano: int) -> None:
        self._sessions[key] = self._sessions.get(key, 0) + nano
        self._sessions.move_to_end(key)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
