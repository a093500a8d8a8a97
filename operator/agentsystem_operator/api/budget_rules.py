"""The rules between the fields of `spec.budget`, each once in Python and once in CEL."""

from decimal import Decimal
from typing import TYPE_CHECKING

from agentsystem_operator.api.base import Rule
from agentsystem_operator.api.types import SessionStore

if TYPE_CHECKING:
    from agentsystem_operator.api.budget import Budget
    from agentsystem_operator.api.spec import AgentSystemSpec


def _nothing(budget: "Budget") -> str | None:
    return None if Decimal(budget.amount) else ""


def _unknown_route(spec: "AgentSystemSpec") -> str | None:
    route = spec.budget and spec.budget.degrade_route
    return route if route and route not in {each.name for each in spec.routes} else None


def _unknown_provider(spec: "AgentSystemSpec") -> str | None:
    known = {provider.name for provider in spec.providers}
    prices = spec.budget.prices if spec.budget else ()
    return next((price.provider for price in prices if price.provider not in known), None)


def _has_several_ledgers(spec: "AgentSystemSpec") -> str | None:
    if spec.budget is None or spec.stores.redis is not None:
        return None
    store = spec.memory.sessions.store if spec.memory.sessions else None
    return None if len(spec.agents) == 1 and store is SessionStore.SQLITE else ""


BUDGET = (
    Rule(
        field="amount",
        message="must be more than 0; remove budget to spend without one",
        cel="self.amount.matches('[1-9]')",
        broken=_nothing,
    ),
    Rule(
        field="warnAt",
        message="must not be above degradeAt; lower it or raise degradeAt",
        cel="self.warnAt <= self.degradeAt",
        broken=lambda budget: "" if budget.warn_at > budget.degrade_at else None,
    ),
)
_PRICES = "self.budget.prices.map(p, p.provider).filter(x, !(x in self.providers.map(p, p.name)))"
SPEC = (
    Rule(
        field="budget",
        message=(
            "needs a ledger that all pods share; set spec.stores.redis, or have one agent with"
            " spec.memory.sessions.store: SQLite"
        ),
        cel=(
            "!has(self.budget) || self.?stores.?redis.hasValue() || (self.agents.size() == 1 &&"
            " self.?memory.?sessions.?store.orValue('Memory') == 'SQLite')"
        ),
        broken=_has_several_ledgers,
    ),
    Rule(
        field="budget.degradeRoute",
        message="unknown route: {culprit}; declare it in spec.routes",
        cel=(
            "!self.?budget.?degradeRoute.hasValue() ||"
            " self.routes.exists(r, r.name == self.budget.degradeRoute)"
        ),
        broken=_unknown_route,
        cel_culprit="self.budget.degradeRoute",
    ),
    Rule(
        field="budget.prices",
        message="unknown provider: {culprit}; declare it in spec.providers",
        cel=f"!self.?budget.?prices.hasValue() || {_PRICES}.size() == 0",
        broken=_unknown_provider,
        cel_culprit=f"{_PRICES}[0]",
    ),
)
