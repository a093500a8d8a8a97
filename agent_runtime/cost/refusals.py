"""What is said when the budget does not allow a call. Pure; each message names the fix."""

from datetime import datetime

from agent_runtime.cost import money
from agent_runtime.cost.accounts import Payee
from agent_runtime.providers.base import ErrorClass, ProviderError

SOON_S = 2.0
"""Until others have their answers, and give back what they reserved and did not use."""


def spent(
    payee: Payee, nano: int, *, left_nano: int, ends: datetime, retry_after_s: float
) -> ProviderError:
    """Return the refusal of what will not fit before the period ends."""
    text = (
        f"the budget allows no such request: it may cost up to {money.usd(nano)} USD, and"
        f" {money.usd(left_nano)} USD are left until {ends:%Y-%m-%dT%H:%MZ}; ask again then, lower"
        " max_tokens, or raise budget.amount"
    )
    return ProviderError(ErrorClass.BUDGET_SPENT, payee.provider, text, retry_after_s=retry_after_s)


def in_the_way(payee: Payee, nano: int) -> ProviderError:
    """Return the refusal of what only others' reservations leave no room for."""
    text = (
        f"what is left of the budget is reserved for answers under way: this one may cost up to"
        f" {money.usd(nano)} USD; ask again soon, or lower max_tokens"
    )
    return ProviderError(ErrorClass.BUDGET_SPENT, payee.provider, text, retry_after_s=SOON_S)


def unknown(payee: Payee, *, retry_after_s: float) -> ProviderError:
    """Return the refusal of what nobody can account for now."""
    text = "the budget's ledger cannot be reached, so nothing more may be spent; ask again soon"
    return ProviderError(
        ErrorClass.BUDGET_UNKNOWN, payee.provider, text, retry_after_s=retry_after_s
    )


def unpriced(payee: Payee) -> ProviderError:
    """Return the refusal of a model that has no price."""
    text = (
        f"model {payee.model!r} of provider {payee.provider!r} has no known price, and a budget"
        " allows none such; add it to budget.prices"
    )
    return ProviderError(ErrorClass.UNPRICED, payee.provider, text)
