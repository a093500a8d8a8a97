"""`spec.budget`: what the models of a system may cost, and what happens as it is used up."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from agentsystem_operator.api import budget_rules, types
from agentsystem_operator.api.base import ApiModel, MapList

Usd = Annotated[str, Field(max_length=13, pattern=types.USD_PATTERN)]
Percent = Annotated[int, types.Strict(), Field(ge=1, le=100)]


class BudgetPeriod(StrEnum):
    """How long an amount lasts; a period begins at midnight UTC."""

    DAY = "Day"
    MONTH = "Month"


class Price(ApiModel):
    """What a model costs, in USD per million tokens; it replaces the price that is shipped."""

    provider: types.Name
    """Name of one of spec.providers."""
    model: types.ModelName
    """The model, as routes name it."""
    input: Usd
    """Tokens of the prompt."""
    output: Usd
    """Tokens of the answer."""
    cache_write: Usd | None = None
    """Tokens of the prompt that the provider keeps for later; absent: as input."""
    cache_read: Usd | None = None
    """Tokens of the prompt that the provider had kept; absent: as input."""


class Budget(ApiModel):
    """What all models of the system may cost together in a period."""

    amount: Usd
    """USD, in quotes; for example "25.00"."""
    period: BudgetPeriod
    """Day or Month, by UTC; then the whole amount is there again."""
    warn_at: Percent = 80
    """Percent of the amount from which on the system warns: in answers, metrics and its
    condition BudgetAvailable."""
    degrade_at: Percent = 90
    """Percent from which on answers cost less: from degradeRoute, with fewer turns of the session,
    or from the cache although their time is over."""
    degrade_route: types.Name | None = None
    """Name of one of spec.routes: a cheaper one, which all agents then use."""
    prices: Annotated[tuple[Price, ...], Field(max_length=50), MapList("provider", "model")] = ()
    """Prices of models that are not shipped with the runtime, or that you pay otherwise."""

    RULES: ClassVar = budget_rules.BUDGET
