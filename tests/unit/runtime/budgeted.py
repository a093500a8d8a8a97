"""A budget with a ledger that can go away, a keeper, and time that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent_runtime.cost import money
from agent_runtime.cost.accounts import Payee
from agent_runtime.cost.budget import Budget, Period, Totals
from agent_runtime.cost.keeper import Keeper
from agent_runtime.cost.ledger import MemoryLedger
from agent_runtime.observability.budget_metrics import BudgetMetrics
from agent_runtime.observability.metrics import Metrics
from agent_runtime.providers.base import ProviderError
from agent_runtime.stores.base import StoreUnavailable

PAYEE = Payee("openai", "m")
DAY = "Day-2026-11-28"
DOLLAR = Budget(money.USD, Period.DAY)


class Flaky:
    """A ledger in memory behind a line that can be cut; `forgets`: only its replies are lost."""

    def __init__(self, clock: Now) -> None:
        self.book = MemoryLedger(clock.seconds)
        self.away = self.forgets = False
        self.calls: list[str] = []

    async def reserve(self, period: str, hold: str, nano: int, cap: int) -> tuple[bool, Totals]:
        self._cut("reserve")
        found = await self.book.reserve(period, hold, nano, cap)
        return self._reply(found)

    async def settle(self, period: str, hold: str, nano: int) -> Totals:
        self._cut("settle")
        found = await self.book.settle(period, hold, nano)
        return self._reply((True, found))[1]

    async def renew(self, period: str, holds: Iterable[str]) -> Totals:
        self._cut("renew")
        return await self.book.renew(period, holds)

    async def close(self) -> None:
        """Nothing is held open."""

    def _cut(self, word: str) -> None:
        self.calls.append(word)
        if self.away:
            raise StoreUnavailable("cut")

    def _reply(self, found: tuple[bool, Totals]) -> tuple[bool, Totals]:
        if self.forgets:
            raise StoreUnavailable("no reply")
        return found


class Now:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 28, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def seconds(self) -> float:
        return self.time.timestamp()

    def move(self, **by: float) -> None:
        self.time += timedelta(**by)


@dataclass
class World:
    """Everything around one keeper."""

    keeper: Keeper
    ledger: Flaky
    now: Now
    metrics: Metrics

    async def totals(self, period: str = DAY) -> Totals:
        """What the ledger has, asked past the line."""
        return await self.ledger.book.renew(period, [])

    async def refused(self, nano: int) -> ProviderError:
        """The refusal of a reservation, which must come."""
        try:
            await self.keeper.reserve(PAYEE, nano)
        except ProviderError as exc:
            return exc
        raise AssertionError("it was reserved")

    async def spend(self, nano: int) -> None:
        hold = await self.keeper.reserve(PAYEE, nano)
        hold.settle(nano)
        await settled()

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


async def settled() -> None:
    """Let what is on its way arrive."""
    for _ in range(10):
        await asyncio.sleep(0)


def world(budget: Budget = DOLLAR) -> World:
    now, metrics = Now(), Metrics()
    ledger = Flaky(now)
    metrics.budget = BudgetMetrics(metrics.registry)
    return World(Keeper(budget, ledger, metrics.budget, now=now, pause_s=0.0), ledger, now, metrics)


@asynccontextmanager
async def kept(budget: Budget = DOLLAR) -> AsyncIterator[World]:
    """A keeper that runs."""
    there = world(budget)
    async with there.keeper.keeping():
        yield there
        there.ledger.away = there.ledger.forgets = False
