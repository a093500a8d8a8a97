"""Builds what keeps to the budget of a config, and says how it is."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from agent_runtime.app import session_store
from agent_runtime.app.config_file import Surroundings
from agent_runtime.app.contract import Config, SessionsEntry
from agent_runtime.app.contract_budget import BudgetEntry
from agent_runtime.app.stores import Stores
from agent_runtime.channel.report import BudgetNow
from agent_runtime.cost import money, prices
from agent_runtime.cost.budget import Budget, Period
from agent_runtime.cost.keeper import Keeper
from agent_runtime.cost.ledger import Ledger, MemoryLedger
from agent_runtime.cost.ledger_redis import RedisLedger
from agent_runtime.cost.ledger_sqlite import open_ledger
from agent_runtime.cost.prices import Price
from agent_runtime.observability.budget_metrics import BudgetMetrics
from agent_runtime.observability.metrics import Metrics

LEDGER = "ledger.db"  # beside the database of the sessions


@asynccontextmanager
async def opened(
    config: Config,
    sessions: SessionsEntry,
    surroundings: Surroundings,
    stores: Stores,
    metrics: Metrics,
) -> AsyncIterator[Keeper | None]:
    """Hold the ledger open; raise `StoreUnavailable` for a file that cannot be used."""
    if config.budget is None:
        yield None
        return
    metrics.budget = BudgetMetrics(metrics.registry)
    ledger = await _ledger(config, sessions, surroundings, stores)
    try:
        keeper = Keeper(_budget(config.budget), ledger, metrics.budget)
        async with keeper.keeping():
            yield keeper
    finally:
        await ledger.close()


def own_prices(entry: BudgetEntry | None) -> Mapping[tuple[str, str], Price]:
    """Return what the config says of prices, by provider and model."""
    return {
        (row.provider, row.model): prices.price(
            input=row.input,
            output=row.output,
            cache_write=row.cache_write,
            cache_read=row.cache_read,
        )
        for row in (entry.prices if entry else ())
    }


def now(keeper: Keeper) -> BudgetNow:
    """Return what the channel is told."""
    return BudgetNow(keeper.state.name.title())


def _budget(entry: BudgetEntry) -> Budget:
    return Budget(
        amount_nano=money.scaled(entry.amount, money.USD),
        period=Period(entry.period),
        warn_at=entry.warn_at,
        degrade_at=entry.degrade_at,
    )


async def _ledger(
    config: Config, sessions: SessionsEntry, surroundings: Surroundings, stores: Stores
) -> Ledger:
    """Return the ledger of the widest reach: of the system, of the agent's volume, of this pod."""
    if stores.redis is not None:
        return RedisLedger(stores.redis, config.namespace, config.system)
    if sessions.store == "SQLite":
        path = session_store.path_of(sessions, config, surroundings)
        return await open_ledger(path.with_name(LEDGER))
    return MemoryLedger(time.monotonic)
