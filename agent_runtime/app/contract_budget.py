"""The part `budget` of the rendered config (v1.1): what may be spent, and what tokens cost."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from agent_runtime.app.contract_types import Name
from agent_runtime.cost import money
from agent_runtime.problems import Strict

MAX_PRICES = 50
_MAX_DIGITS = 16  # six before the point, the point, nine behind it


def _decimal(text: str) -> str:
    money.scaled(text, 1)
    return text


Decimal = Annotated[str, Field(max_length=_MAX_DIGITS), AfterValidator(_decimal)]
Percent = Annotated[int, Field(ge=1, le=100, strict=True)]


class PriceEntry(Strict):
    """What a model's tokens cost at a provider, in USD per million; cached ones as input."""

    provider: Name
    model: Annotated[str, Field(min_length=1, max_length=256)]
    input: Decimal
    output: Decimal
    cache_write: Decimal | None = Field(None, alias="cacheWrite")
    cache_read: Decimal | None = Field(None, alias="cacheRead")


class BudgetEntry(Strict):
    """What all pods of the system may spend together in a period, in USD."""

    amount: Decimal
    period: Literal["Day", "Month"] = "Month"
    warn_at: Percent = Field(80, alias="warnAt")
    degrade_at: Percent = Field(90, alias="degradeAt")
    degrade_route: Name | None = Field(None, alias="degradeRoute")
    prices: Annotated[list[PriceEntry], Field(max_length=MAX_PRICES)] = Field(default_factory=list)
