"""What a runtime's metrics say of money, for comparison with what a provider bills."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agent_runtime.cost import money

PRICE = {"input": "1", "output": "10"}
INPUT_NANO, OUTPUT_NANO = 1_000, 10_000
"""Of a token at that price."""


def of(text: str, key: str) -> int:
    """Return the sum of a counter's samples in dollars, as nano."""
    lines = (line for line in text.splitlines() if line.startswith(key))
    return round(sum(float(line.rpartition(" ")[2]) for line in lines) * money.USD)


def reported(text: str) -> int:
    """Return what was charged by the provider's own count, without our estimates."""
    lines = [line for line in text.splitlines() if 'count="reported"' in line]
    return of("\n".join(lines), "agent_cost_usd_total{")


async def when_settled(metrics: Callable[[], Awaitable[str]]) -> str:
    """Return the metrics once the ledger has every charge."""
    async with asyncio.timeout(10):
        while "agent_budget_unsettled 0.0" not in (text := await metrics()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return text


def settled(text: str) -> int:
    """Return what the ledger has of this period."""
    return of(text, 'agent_budget_usd{part="spent"}')


def billed(counts: dict[str, Any]) -> int:
    """Return what the simulator wants for all that it has answered."""
    tokens = counts["billed"]
    return int(tokens["inputTokens"] * INPUT_NANO + tokens["outputTokens"] * OUTPUT_NANO)
