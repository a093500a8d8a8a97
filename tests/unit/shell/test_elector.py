"""At most one leader writes at any instant; a lost leader is replaced in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agentsystem_operator import ports
from agentsystem_operator.shell import elector
from agentsystem_operator.shell.elector import Elector
from tests.fakes.leases import FakeLeases
from tests.fakes.virtual_time import virtual


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def standing(leases: FakeLeases, identity: str) -> AsyncIterator[Elector]:
    candidate = Elector(leases, identity=identity, monotonic=now)
    task = asyncio.create_task(candidate.run())
    try:
        yield candidate
    finally:
        task.cancel()


@virtual
async def test_a_free_lease_is_taken_at_once() -> None:
    leases, began = FakeLeases(), now()
    async with standing(leases, "a") as a:
        await a.leading.wait()
        assert now() == began
        a.check()
        assert leases.lease
        assert leases.lease.holder == "a"


@virtual
async def test_a_leader_renews_with_one_write_every_two_seconds_and_never_reads() -> None:
    leases = FakeLeases()
    async with standing(leases, "a") as a:
        await a.leading.wait()
        leases.calls.clear()
        await asyncio.sleep(20.5)
        assert leases.calls == ["write"] * 10
        a.check()


@virtual
async def test_a_restart_in_place_goes_on_at_once() -> None:
    leases, began = FakeLeases(), now()
    leases.held_by("pod-uid")
    async with standing(leases, "pod-uid") as again:
        await again.leading.wait()
        assert now() == began


@virtual
async def test_a_standby_takes_over_seventeen_seconds_after_a_crash_at_most() -> None:
    leases = FakeLeases()
    async with standing(leases, "b") as b:
        async with standing(leases, "a") as a:
            leases.held_by("a")
            await a.leading.wait()
            await asyncio.sleep(30)
            assert not b.leading.is_set()
        crashed = now()
        await b.leading.wait()
        assert 10 < now() - crashed <= 17


@virtual
async def test_a_released_lease_is_taken_within_two_seconds() -> None:
    leases = FakeLeases()
    async with standing(leases, "a") as a:
        await a.leading.wait()
    async with standing(leases, "b") as b:
        await asyncio.sleep(1)
        assert not b.leading.is_set()
        await a.release()
        released = now()
        assert not a.may_write
        await b.leading.wait()
        assert now() - released <= 2


@virtual
async def test_a_lease_is_released_even_if_a_renewal_was_cut_off_before_its_answer() -> None:
    leases = FakeLeases()
    async with standing(leases, "a") as a:
        await a.leading.wait()
    leases.held_by("a")
    await a.release()
    assert leases.lease
    assert leases.lease.holder == ""


@virtual
async def test_only_a_holder_gives_a_lease_back() -> None:
    leases = FakeLeases()
    leases.held_by("b")
    async with standing(leases, "a") as a:
        await asyncio.sleep(3)
    await a.release()
    assert leases.lease
    assert leases.lease.holder == "b"


@virtual
async def test_a_leader_that_cannot_renew_stops_writing_before_anyone_else_starts() -> None:
    leases = FakeLeases()
    async with standing(leases, "a") as a:
        await a.leading.wait()
        leases.fault = ports.ClusterUnreachable("away")
        await asyncio.sleep(elector.RENEW_DEADLINE_S)
        assert not a.may_write
        with pytest.raises(ports.NotLeading):
            a.check()
        await asyncio.wait_for(a.following.wait(), 5)


@virtual
async def test_a_renewal_that_hangs_does_not_keep_a_leader_writing() -> None:
    leases = FakeLeases()
    async with standing(leases, "a") as a:
        await a.leading.wait()
        leases.hangs = True
        await asyncio.sleep(elector.RENEW_DEADLINE_S)
        assert not a.may_write
        await asyncio.wait_for(a.following.wait(), 5)
        leases.hangs = False
        await asyncio.wait_for(a.leading.wait(), 5)


@virtual
async def test_a_leader_whose_lease_was_taken_steps_down() -> None:
    leases = FakeLeases()
    async with standing(leases, "a") as a:
        await a.leading.wait()
        leases.held_by("thief")
        await asyncio.wait_for(a.following.wait(), 5)
        assert not a.may_write


@virtual
async def test_a_frozen_leader_may_not_write_when_it_thaws() -> None:
    leases = FakeLeases()
    clock = [0.0]
    frozen = Elector(leases, identity="a", monotonic=lambda: clock[0])
    task = asyncio.create_task(frozen.run())
    await frozen.leading.wait()
    clock[0] += 30.0
    assert not frozen.may_write
    task.cancel()


@virtual
async def test_two_candidates_never_lead_at_once_whatever_the_lease_does() -> None:
    leases = FakeLeases()
    async with standing(leases, "a") as a, standing(leases, "b") as b:
        for second in range(400):
            leases.fault = ports.ClusterUnreachable("flaky") if second % 40 > 22 else None
            leases.hangs = second % 55 > 44
            await asyncio.sleep(1)
            assert not (a.may_write and b.may_write)
        leases.fault, leases.hangs = None, False
        await asyncio.sleep(20)
        assert a.may_write != b.may_write


@virtual
async def test_a_lost_race_for_the_lease_is_no_leadership() -> None:
    leases = FakeLeases()
    leases.lease = ports.Lease("", 15.0, "x", 0, "9")
    async with standing(leases, "a") as a, standing(leases, "b") as b:
        await asyncio.sleep(3)
        assert [a.leading.is_set(), b.leading.is_set()].count(True) == 1


@virtual
async def test_an_outage_is_one_line_of_log_and_no_storm_of_calls(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    leases = FakeLeases()
    async with standing(leases, "a") as a:
        await a.leading.wait()
        leases.fault = ports.ClusterUnreachable("away")
        leases.calls.clear()
        await asyncio.sleep(120)
        assert len(leases.calls) <= 160
        failures = [record for record in caplog.records if "failed" in record.getMessage()]
        assert len(failures) == 1
        leases.fault = None
        await asyncio.wait_for(a.leading.wait(), 3)


@virtual
async def test_a_leader_says_where_its_channel_is_and_a_follower_reads_it() -> None:
    leases = FakeLeases()
    leader = Elector(leases, identity="a", monotonic=now, address="10.0.0.7:8443")
    running = asyncio.create_task(leader.run())
    await leader.leading.wait()
    async with standing(leases, "b") as follower:
        await asyncio.sleep(1)
        assert follower.leader_address == "10.0.0.7:8443"

        running.cancel()
        await leader.release()
        await follower.leading.wait()
        assert follower.leader_address == ""
