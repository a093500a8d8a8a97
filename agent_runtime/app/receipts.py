"""What a request cost, told to its client: headers of ours, and a figure in a stream's usage."""

from agent_runtime.app.asgi import Headers
from agent_runtime.cost import money
from agent_runtime.cost.accounts import Accounts
from agent_runtime.cost.budget import State
from agent_runtime.cost.levels import Level
from agent_runtime.providers.base import Json
from agent_runtime.providers.receipt import Cache, Receipt

COST = "x-agentsystem-cost-usd"
COUNT = "x-agentsystem-cost-count"
SESSION_COST = "x-agentsystem-session-cost-usd"
CACHE = "x-agentsystem-cache"
BUDGET = "x-agentsystem-budget"
DEGRADED = "x-agentsystem-degraded"
ALL = (COST, COUNT, SESSION_COST, CACHE, BUDGET, DEGRADED)
"""A sibling's answer passes on with them: the pod that calls the provider knows them."""

_UNKNOWN = "unknown"  # never 0
_OF_CACHE: dict[Cache | None, Headers] = {
    None: [],
    **{outcome: [(CACHE.encode(), outcome.value.encode())] for outcome in Cache},
}
_OF_BUDGET: dict[State, Headers] = {
    state: [(BUDGET.encode(), state.name.lower().encode())] for state in State
}


def of(*, session: str | None, tenant: str = "", wants: str | None = None) -> Receipt:
    """Return the receipt that a request begins with; `tenant` as whoever let it in knows it.

    `wants` is its Cache-Control: with `no-cache` it is answered by a model, with `no-store` its
    answer is not kept for others either.
    """
    receipt = Receipt(tenant=tenant, session=session or "")
    if wants:
        directives = {directive.strip().lower() for directive in wants.split(",")}
        receipt.may_share = "no-store" not in directives
        receipt.may_look = receipt.may_share and "no-cache" not in directives
    return receipt


def headers(receipt: Receipt, agent: str, accounts: Accounts) -> Headers:
    """Return what an answer that has ended, or failed, cost."""
    nano = accounts.session_nano(receipt, agent)
    found = {
        COST: cost(receipt),
        COUNT: "estimated" if receipt.estimated else None,
        SESSION_COST: None if nano is None else money.usd(nano),
    }
    told = [(name.encode(), value.encode()) for name, value in found.items() if value is not None]
    return [*told, *early(receipt, accounts)]


def early(receipt: Receipt, accounts: Accounts) -> Headers:
    """Return how the answer came about, which is known as soon as it begins."""
    cached = _OF_CACHE[receipt.cache]
    if accounts.budget is None:
        return cached
    lacks = level(receipt)
    degraded = [(DEGRADED.encode(), lacks.encode())] if lacks else []
    return [*cached, *_OF_BUDGET[accounts.budget.state], *degraded]


def level(receipt: Receipt) -> str | None:
    """Return what the answer lacks because the budget is low, None if nothing."""
    return Level.CACHED_ANSWER.label if receipt.cache is Cache.STALE else receipt.degraded


def cost(receipt: Receipt) -> str:
    """Return the cost in USD, or that it is unknown."""
    return _UNKNOWN if receipt.unpriced else money.usd(receipt.cost_nano)


def with_cost(usage: Json, receipt: Receipt) -> Json:
    """Return a stream's usage with its cost: its headers had left before it was known."""
    return {**usage, "cost_usd": cost(receipt)}
