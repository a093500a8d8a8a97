"""The states of a budget, and when its periods begin and end."""

from datetime import UTC, datetime

import pytest

from agent_runtime.cost.budget import Budget, Period, State, Totals, judge

HUNDRED = Budget(amount_nano=100, warn_at=80, degrade_at=95)


@pytest.mark.parametrize(
    ("before", "used", "refused", "want"),
    [
        (State.AVAILABLE, 79, False, State.AVAILABLE),
        (State.AVAILABLE, 80, False, State.WARNING),
        (State.WARNING, 78, False, State.WARNING),
        (State.WARNING, 77, False, State.AVAILABLE),
        (State.AVAILABLE, 95, False, State.DEGRADED),
        (State.DEGRADED, 93, False, State.DEGRADED),
        (State.DEGRADED, 92, False, State.WARNING),
        (State.DEGRADED, 98, True, State.DEGRADED),  # it was too large; others may fit
        (State.DEGRADED, 99, True, State.EXHAUSTED),
        (State.EXHAUSTED, 97, False, State.EXHAUSTED),
        (State.EXHAUSTED, 96, False, State.DEGRADED),
        (State.UNKNOWN, 79, False, State.AVAILABLE),
    ],
)
def test_a_state_begins_at_its_threshold_and_ends_two_percent_below(
    before: State, used: int, refused: bool, want: State
) -> None:
    assert judge(HUNDRED, before, Totals(0, used), refused=refused) is want


def test_what_is_settled_in_full_stops_without_a_refusal() -> None:
    assert judge(HUNDRED, State.AVAILABLE, Totals(100, 0)) is State.EXHAUSTED


@pytest.mark.parametrize(
    ("period", "began", "ends", "key"),
    [
        (Period.DAY, (2026, 12, 31), (2027, 1, 1), "Day-2026-12-31"),
        (Period.MONTH, (2026, 12, 1), (2027, 1, 1), "Month-2026-12-01"),
    ],
)
def test_periods_begin_at_midnight_utc(
    period: Period, began: tuple[int, int, int], ends: tuple[int, int, int], key: str
) -> None:
    now = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    assert period.began(now) == datetime(*began, tzinfo=UTC)
    assert period.ends(now) == datetime(*ends, tzinfo=UTC)
    assert period.key(now) == key
