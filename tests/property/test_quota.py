"""However requests come in: never more than the limit in any minute, and no place held too long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.guard.quota.rates import Admitted, Rate, Refused, Scope, Subject
from agent_runtime.guard.quota.window import HELD_S, Alone

# quick bursts, pauses of about a window, and moments just before and after a whole second
gaps = st.sampled_from([0.0, 0.001, 0.3, 0.999, 1.0, 7.5, 59.0, 59.999, 60.0, 61.0, 200.0])
arrivals = st.lists(gaps, max_size=80)
begins = st.floats(0, 2, allow_nan=False).map(lambda part: 1_800_000_000 + part)


@given(arrivals, st.integers(1, 5), st.integers(1, 12), begins)
def test_a_limit_is_kept_in_every_minute_and_every_day(
    gaps: list[float], minute: int, day: int, now: float
) -> None:
    time = [now]
    counter = Alone(clock=lambda: time[0], utc=lambda: time[0])
    ann = (Subject(Scope.KEY, "ann", Rate(minute, day)),)
    admitted: list[float] = []
    for gap in gaps:
        time[0] += gap
        in_minute = [at for at in admitted if at > time[0] - 60]
        held = [at for at in admitted if at > time[0] - HELD_S]
        today = [at for at in admitted if at // 86_400 == time[0] // 86_400]
        match counter.judge(ann):
            case Admitted(limit, remaining):
                assert len(in_minute) < minute
                assert len(today) < day
                assert remaining < limit
                admitted.append(time[0])
            case Refused(retry_after_s=wait):
                assert len(held) >= minute or len(today) >= day
                assert 0 < wait <= max(HELD_S, 86_400)


@given(arrivals, st.integers(1, 5), begins)
def test_who_comes_when_told_is_admitted_if_nobody_else_came(
    gaps: list[float], minute: int, now: float
) -> None:
    time = [now]
    counter = Alone(clock=lambda: time[0], utc=lambda: time[0])
    ann = (Subject(Scope.KEY, "ann", Rate(minute)),)
    for gap in gaps:
        time[0] += gap
        verdict = counter.judge(ann)
        if isinstance(verdict, Refused):
            time[0] += verdict.retry_after_s
            assert isinstance(counter.judge(ann), Admitted)
