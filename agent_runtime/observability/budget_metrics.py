"""The metrics of a budget; there only where there is one, since no budget is not an empty one."""

from collections.abc import Callable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

USD = 10**9  # amounts come as nano-USD


class _Totals(Protocol):
    @property
    def settled(self) -> int: ...

    @property
    def reserved(self) -> int: ...


class _Budget(Protocol):
    @property
    def amount_nano(self) -> int: ...


class Kept(Protocol):
    """A budget as its keeper knows it."""

    @property
    def state(self) -> int:
        """Its state as a number; -1: unknown."""

    @property
    def totals(self) -> _Totals:
        """What the ledger last said."""

    @property
    def budget(self) -> _Budget:
        """What may be spent."""


class BudgetMetrics:
    """One instance per process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        reg = registry
        self._state = Gauge(
            "agent_budget_state",
            "The budget: 0 available, 1 warning, 2 degraded, 3 exhausted, -1 unknown.",
            registry=reg,
        )
        self._usd = Gauge(
            "agent_budget_usd", "The budget of this period: amount, spent, reserved.", ["part"],
            registry=reg,
        )  # fmt: skip
        self._unsettled = Gauge(
            "agent_budget_unsettled", "Charges that the ledger has not taken yet.", registry=reg
        )
        self._refused = Counter(
            "agent_budget_refused", "Calls of a model that the budget refused.", ["reason"],
            registry=reg,
        )  # fmt: skip
        self._overrun = Counter(
            "agent_budget_overrun_usd", "What answers cost beyond what was reserved for them.",
            registry=reg,
        )  # fmt: skip
        self._degraded = Counter(
            "agent_degraded_answers", "Answers that lack something, by what.", ["level"],
            registry=reg,
        )  # fmt: skip

    def measures(self, kept: Kept, unsettled: Callable[[], int]) -> None:
        """Read the gauges from there when they are asked for."""

        def known(nano: Callable[[], int]) -> Callable[[], float]:
            # unknown is not zero
            return lambda: nano() / USD if kept.state >= 0 else float("nan")

        self._state.set_function(lambda: kept.state)
        self._unsettled.set_function(unsettled)
        self._usd.labels("amount").set(kept.budget.amount_nano / USD)
        self._usd.labels("spent").set_function(known(lambda: kept.totals.settled))
        self._usd.labels("reserved").set_function(known(lambda: kept.totals.reserved))

    def refused(self, reason: str) -> None:
        """Count one refusal by its class of error."""
        self._refused.labels(reason).inc()

    def overrun(self, nano: int) -> None:
        """Count what was charged beyond its reservation."""
        self._overrun.inc(nano / USD)

    def degraded(self, level: str) -> None:
        """Count an answer that lacks something."""
        self._degraded.labels(level).inc()
