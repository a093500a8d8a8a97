"""The load of the last ten seconds."""

from __future__ import annotations

import pytest

from agent_runtime.observability.load import SAMPLES, WINDOW_S, LoadWindow


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def window(clock: Clock) -> LoadWindow:
    return LoadWindow(clock=clock, below=lambda n: n - 1)


def test_rates_are_those_of_the_last_ten_whole_seconds() -> None:
    clock = Clock()
    load = window(clock)
    for _ in range(WINDOW_S):
        for _ in range(5):
            load.ended(0.1)
        load.used(40)
        clock.now += 1

    assert (load.rate_per_s, load.tokens_per_s) == (5.0, 40.0)
    clock.now += 4
    assert (load.rate_per_s, load.tokens_per_s) == (3.0, 24.0)
    clock.now += 7
    assert (load.rate_per_s, load.tokens_per_s, load.p95_s) == (0.0, 0.0, None)


def test_a_process_that_has_just_begun_is_not_as_idle_as_ten_seconds_would_make_it() -> None:
    clock = Clock()
    load = window(clock)
    load.ended(0.1)
    load.ended(0.1)
    clock.now += 2

    assert load.rate_per_s == 1.0


def test_this_second_is_not_over_yet() -> None:
    load = window(Clock())
    load.ended(0.1)

    assert load.rate_per_s == 0.0


def test_p95_is_the_nearest_rank() -> None:
    clock = Clock()
    load = window(clock)
    for number in range(1, 21):
        load.ended(number / 10)
    clock.now += 1

    assert load.p95_s == pytest.approx(1.9)


def test_memory_is_bounded_however_many_requests_there_are() -> None:
    clock = Clock()
    load = LoadWindow(clock=clock)
    for _ in range(100):
        for _ in range(1_000):
            load.ended(0.1)
        clock.now += 1

    assert max(len(slot.durations) for slot in load._slots) == SAMPLES
    assert len(load._slots) == WINDOW_S + 1
    assert load.rate_per_s == 1_000.0
