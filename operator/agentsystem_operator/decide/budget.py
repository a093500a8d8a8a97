"""How the budget of a system is, concluded from what its pods say of it.

They share one ledger, so they agree but for a moment; what most of them say is so. Nothing here
ever reaches Ready, and no amount is told: it would move with every request (I7).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agentsystem_operator.api.budget import Budget, BudgetPeriod
from agentsystem_operator.api.reasons import BudgetState
from agentsystem_operator.decide import damping
from agentsystem_operator.model.heard import Unrest

KEY = "budget"
"""Of what one pass hands to the next about it."""
UNREACHABLE = "ledger_unreachable"
"""Why a budget is Unknown although pods were heard."""
LATE = timedelta(seconds=10)
"""For so long after a period's end what pods say may still be of the old one."""
_RANK = {
    BudgetState.AVAILABLE: 0,
    BudgetState.WARNING: 1,
    BudgetState.DEGRADED: 2,
    BudgetState.EXHAUSTED: 3,
    BudgetState.UNKNOWN: 4,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """The budget, as it is reported."""

    state: BudgetState
    since: datetime
    reason: str = ""
    """Why it is Unknown: UNREACHABLE, or "" when no pod was heard."""
    declared: Budget | None = None
    """None while the spec is not valid."""

    @property
    def until(self) -> datetime | None:
        """When the period ends in which it came into this state."""
        return ends(self.declared.period, self.since) if self.declared else None


def judged(votes: Mapping[BudgetState, int]) -> tuple[BudgetState, str]:
    """Return what most pods say, the worse of two equals; and why nothing is known, if so."""
    if not votes:
        return BudgetState.UNKNOWN, ""
    state = max(votes, key=lambda said: (votes[said], _RANK[said]))
    return state, UNREACHABLE if state is BudgetState.UNKNOWN else ""


def of_system(
    declared: Budget,
    votes: Mapping[BudgetState, int],
    *,
    reported: Mapping[str, Any],
    past: Unrest,
    now: datetime,
) -> tuple[Finding, Unrest, datetime | None]:
    """Return what is to be reported, what the next pass must know, and when to look again."""
    state, reason = judged(votes)
    new = Finding(state, now, reason, declared)
    before = as_reported(reported, declared)
    if before is None or (before.state is BudgetState.UNKNOWN and past == Unrest()):
        return new if before is None or not _holds(before, new) else before, past, None
    if before.state is state:
        held = _holds(before, new)
        return before if held else new, replace(past, better_since=None), _turn(before, now)
    shown = damping.decide(shown=_RANK[before.state], heard=_RANK[state], unrest=past, now=now)
    return new if shown.now else before, shown.unrest, shown.look_again


def _holds(before: Finding, new: Finding) -> bool:
    """Say whether what is shown says it already: a doubt for its reason, an end for its period."""
    turn = _turn(before, before.since)
    return (before.state, before.reason) == (new.state, new.reason) and not (
        turn is not None and new.since >= turn
    )


def _turn(found: Finding, now: datetime) -> datetime | None:
    """Return from when on a used-up budget must have been used up anew; None if that is past."""
    if found.state is not BudgetState.EXHAUSTED or found.until is None:
        return None
    turn = found.until + LATE
    return turn if now < turn else None


def as_reported(reported: Mapping[str, Any], declared: Budget | None) -> Finding | None:
    """Return what the last status said, None when it is not what we write."""
    entry = reported.get("budget")
    try:
        if not isinstance(entry, Mapping):
            return None
        since = datetime.strptime(str(entry["since"]), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        return Finding(_STATES[entry["state"]], since, str(entry.get("reason", "")), declared)
    except (KeyError, ValueError, TypeError):
        return None


def ends(period: BudgetPeriod, moment: datetime) -> datetime:
    """Return when the period of a moment ends: the next midnight UTC, or that of the next month."""
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period is BudgetPeriod.DAY:
        return day + timedelta(days=1)
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


_STATES = {state.value: state for state in BudgetState}
