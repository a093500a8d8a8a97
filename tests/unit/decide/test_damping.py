"""Trouble shows at once, relief when it has lasted, and what flaps is written ever more rarely."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from agentsystem_operator.decide import damping
from agentsystem_operator.decide.damping import CALM, RELIEF_FIRST, RELIEF_MAX
from agentsystem_operator.model.heard import Unrest

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_trouble_is_shown_at_once() -> None:
    shown = damping.decide(shown=0, heard=3, unrest=Unrest(), now=START)

    assert shown.now
    assert shown.unrest == Unrest(None, 1, START)


def test_relief_is_shown_when_it_has_lasted_three_seconds() -> None:
    first = damping.decide(shown=3, heard=0, unrest=Unrest(), now=START)
    assert (first.now, first.look_again) == (False, START + RELIEF_FIRST)

    then = damping.decide(shown=3, heard=0, unrest=first.unrest, now=START + RELIEF_FIRST)
    assert then.now


def test_a_relapse_begins_the_wait_anew() -> None:
    first = damping.decide(shown=3, heard=0, unrest=Unrest(), now=START)
    relapse = damping.decide(shown=3, heard=3, unrest=first.unrest, now=START + SECOND)
    again = damping.decide(shown=3, heard=0, unrest=relapse.unrest, now=START + 2 * SECOND)

    assert not again.now
    assert again.look_again == START + 2 * SECOND + RELIEF_FIRST


def test_each_fall_doubles_the_wait_and_calm_forgives_them() -> None:
    unrest, now, waits = Unrest(), START, []
    for _ in range(9):
        unrest = damping.decide(shown=0, heard=3, unrest=unrest, now=now).unrest
        waits.append(damping.relief(unrest.falls).total_seconds())
        now += 5 * SECOND
    assert waits == [3, 6, 12, 24, 48, 96, 192, 300, 300]

    calm = damping.decide(shown=0, heard=3, unrest=unrest, now=now + CALM)
    assert calm.unrest.falls == 1


def test_whatever_flaps_is_written_at_a_bounded_rate() -> None:
    """Virtual hours of the worst that can come: each second another judgement."""
    for seed in range(20):
        chance = random.Random(seed)  # noqa: S311
        mean_s = chance.choice([1, 4, 20, 100])
        writes = _writes(chance, mean_s=mean_s, hours=3)

        assert writes[0] <= 40, (seed, mean_s, writes)
        assert max(writes[1:]) <= 2 * 3600 / RELIEF_MAX.total_seconds() + 16, (seed, writes)


def _writes(chance: random.Random, *, mean_s: float, hours: int) -> list[int]:
    shown, heard, unrest = 0, 0, Unrest()
    writes = []
    for hour in range(hours):
        count = 0
        for second in range(3600):
            if chance.random() < 1 / mean_s:
                heard = chance.choice([0, 3])
            now = START + timedelta(hours=hour, seconds=second)
            verdict = damping.decide(shown=shown, heard=heard, unrest=unrest, now=now)
            unrest = verdict.unrest
            if verdict.now:
                shown, count = heard, count + 1
        writes.append(count)
    return writes
