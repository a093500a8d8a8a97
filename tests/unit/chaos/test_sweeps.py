"""The parts of the sweeps that judge or choose by themselves."""

from __future__ import annotations

from tests.chaos.faults import Asked, Late, Seen, Signal
from tests.chaos.record import Record
from tests.chaos.sweeps import crash, half_open, two_operators

SERVICE = "/api/v1/namespaces/shop/services/one"


def test_a_write_of_the_old_leader_after_the_first_of_the_new_one_is_told() -> None:
    old, new = Record(), Record()
    old.begin("PATCH", SERVICE, {})
    assert two_operators.not_both(old, new) == []
    new.begin("PUT", "/apis/coordination.k8s.io/v1/namespaces/shop/leases/l", {})
    new.begin("PATCH", SERVICE, {})
    assert two_operators.not_both(old, new) == []
    old.begin("PATCH", SERVICE, {})
    assert two_operators.not_both(old, new) == [
        "the old leader wrote: #2 patch services shop/one -> None/None"
    ]


def asked(write: int) -> Asked:
    return Asked(9, write, 1, "patch", "services", "shop", "one", 0.0)


def test_the_first_seed_kills_once_and_later_ones_twice_and_always_at_the_same_writes() -> None:
    def points(seed: int) -> list[int]:
        script = crash.kill_at(5, after_commit=True, seed=seed)
        return [n for n in range(20) if script(asked(n)) == Signal("kill", after_commit=True)]

    assert points(1) == [5]
    assert len({tuple(points(seed)) for seed in range(2, 9)}) > 1
    for seed in range(2, 9):
        first, second = points(seed)
        assert first == 5
        assert 6 <= second <= 5 + crash.AGAIN_WITHIN
        assert points(seed) == [first, second]


def test_streams_of_now_fall_silent_and_later_ones_tell() -> None:
    script = half_open.silent_up_to(3)
    silent = [
        isinstance(script(Seen(stream, 1, 1, "ADDED", "services", "one", 0.0)), Late)
        for stream in (1, 3, 4)
    ]
    assert silent == [True, True, False]
