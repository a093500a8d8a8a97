"""More requests than can be served: who is next, who waits, and who is told to come later."""

import asyncio
import gc
import weakref
from collections import Counter

import pytest

from agent_runtime.app import limits
from agent_runtime.app.admission import Admission, Interruption, Slot
from agent_runtime.app.asgi import Message, Reply
from agent_runtime.app.errors import ApiError
from agent_runtime.app.fair_queue import PASSED_OVER, FairQueue
from agent_runtime.guard.principal import ALL_ROLES, ANONYMOUS, Principal, Priority
from tests.fakes.virtual_time import run


def who(tenant: str, priority: Priority = Priority.NORMAL) -> Principal:
    return Principal("someone", tenant, ALL_ROLES, priority)


def filled(*tenants: tuple[str, Priority]) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue()
    for number, (tenant, priority) in enumerate(tenants):
        queue.add(f"{tenant}{number}", who(tenant, priority), 0.0)
    return queue


def order(queue: FairQueue[str]) -> list[str]:
    found = []
    while (taken := queue.take()) is not None:
        found.append(taken)
    assert queue.size == 0
    return found


def test_tenants_take_turns_whoever_sent_how_much() -> None:
    normal = Priority.NORMAL
    queue = filled(*[("a", normal)] * 4, ("b", normal), ("c", normal), ("b", normal))
    assert order(queue) == ["a0", "b4", "c5", "a1", "b6", "a2", "a3"]


def test_vip_comes_first_and_low_last() -> None:
    queue = filled(("a", Priority.LOW), ("b", Priority.NORMAL), ("c", Priority.VIP))
    assert order(queue) == ["c2", "b1", "a0"]


def test_whoever_is_passed_over_too_often_is_next() -> None:
    queue = filled(("low", Priority.LOW), *[("vip", Priority.VIP)] * 200)
    place = order(queue).index("low0")
    assert place == PASSED_OVER[Priority.LOW]


def test_a_tenant_alone_never_takes_all_the_room() -> None:
    queue: FairQueue[str] = FairQueue()
    taken: Counter[str] = Counter()
    for tenant in ["flood"] * 50 + ["a", "a", "b"] + ["flood"] * 50:
        if queue.has_room(who(tenant), most=12):
            queue.add(tenant, who(tenant), 0.0)
            taken[tenant] += 1
    assert taken == {"flood": 6, "a": 2, "b": 1}
    assert queue.has_room(who("vip", Priority.VIP), most=12)  # priorities have rooms of their own


def test_who_gives_up_is_forgotten_once() -> None:
    queue: FairQueue[str] = FairQueue()
    first, second = (queue.add(name, ANONYMOUS, at) for name, at in (("a", 1.0), ("b", 2.0)))
    assert queue.oldest() == 1.0
    queue.drop(first)
    queue.drop(first)
    assert (queue.size, queue.oldest()) == (1, 2.0)
    assert queue.take() == "b"
    queue.drop(second)
    assert (queue.size, queue.oldest(), queue.take()) == (0, None, None)


class Crowd:
    """Requests that hold their slot for a while; says how each of them ended, and when."""

    def __init__(self, admission: Admission, *, seconds: float) -> None:
        self.admission, self.seconds = admission, seconds
        self.ended: list[tuple[str, float]] = []
        self.refused: list[ApiError] = []

    async def come(self, name: str, principal: Principal) -> None:
        loop = asyncio.get_running_loop()
        came = loop.time()
        try:
            async with self.slot(principal):
                await asyncio.sleep(self.seconds)
        except ApiError as exc:
            self.refused.append(exc)
            self.ended.append((f"{name} refused", loop.time() - came))
        else:
            self.ended.append((name, loop.time() - came))

    def slot(self, principal: Principal = ANONYMOUS) -> Slot:
        async def nothing() -> Message:
            await asyncio.Event().wait()
            raise AssertionError("nothing ever comes")

        async def unheard(_message: Message) -> None:
            raise AssertionError("nothing is ever answered")

        return self.admission.slot(nothing, Reply(unheard, close=False), principal)


def test_three_times_too_many_are_refused_at_once_vip_is_not_and_it_passes() -> None:
    """10 slots of 0.1 s serve 100 a second; 300 a second come for 60 s, each twentieth a VIP."""

    async def story() -> None:
        admission = Admission(limit=10)
        crowd = Crowd(admission, seconds=0.1)
        most = 0
        async with asyncio.TaskGroup() as group:
            for number in range(60 * 300):
                vip = number % 20 == 0
                principal = who("big" if vip else f"t{number % 7}", _of(vip=vip))
                group.create_task(crowd.come("vip" if vip else "normal", principal))
                await asyncio.sleep(1 / 300)
                most = max(most, admission.waiting)
        count = Counter(name for name, _ in crowd.ended)
        assert count["vip"] == 900
        assert "vip refused" not in count
        assert max(took for name, took in crowd.ended if name == "vip") <= 2.0
        assert max(took for name, took in crowd.ended if name == "normal refused") <= 0.05
        assert count["normal"] + count["vip"] == pytest.approx(6000, rel=0.05)  # none is idle
        assert most <= 200
        assert {error.status for error in crowd.refused} == {429}
        assert all(1 <= int(error.headers["retry-after"]) <= 3 for error in crowd.refused)
        assert (admission.in_flight, admission.waiting) == (0, 0)
        await crowd.come("after", ANONYMOUS)  # normal again
        assert crowd.ended[-1][1] == pytest.approx(0.1)

    run(story())


def _of(*, vip: bool) -> Priority:
    return Priority.VIP if vip else Priority.NORMAL


def test_a_flooding_tenant_takes_its_share_and_no_more() -> None:
    async def story() -> None:
        crowd = Crowd(Admission(limit=10), seconds=0.1)
        async with asyncio.TaskGroup() as group:
            for number in range(10 * 300):
                name = "small" if number % 10 == 0 else "flood"
                group.create_task(crowd.come(name, who(name)))
                await asyncio.sleep(1 / 300)
        count = Counter(name for name, _ in crowd.ended)
        assert count["small"] >= 0.98 * 300  # 30 a second is less than half of what there is

    run(story())


def test_without_a_crowd_nobody_waits() -> None:
    async def story() -> None:
        admission = Admission(limit=2)
        async with Crowd(admission, seconds=0).slot(), Crowd(admission, seconds=0).slot():
            assert (admission.in_flight, admission.waiting) == (2, 0)
            assert admission.oldest_wait_s(5.0) == 0.0

    run(story())


def test_who_waits_for_too_long_after_all_is_refused() -> None:
    async def story() -> None:
        admission = Admission(limit=1)
        crowd = Crowd(admission, seconds=0)
        async with crowd.slot():
            with pytest.raises(ApiError) as caught:
                async with crowd.slot():
                    pytest.fail("there was no slot")
            assert caught.value.code == "overloaded"
            assert (admission.in_flight, admission.waiting) == (1, 0)
        assert admission.in_flight == 0

    run(story())


def test_who_waits_is_told_of_the_end_too() -> None:
    async def story() -> None:
        admission = Admission(limit=1)
        crowd = Crowd(admission, seconds=0)
        waiting = crowd.slot()
        async with asyncio.TaskGroup() as group:
            group.create_task(_held(crowd.slot()))
            await asyncio.sleep(0)
            group.create_task(_held(waiting))
            await asyncio.sleep(0)
            assert admission.waiting == 1
            admission.cut_off()
        assert waiting.interruption is Interruption.SHUTTING_DOWN
        assert (admission.in_flight, admission.waiting) == (0, 0)

    run(story())


async def _held(slot: Slot) -> None:
    with pytest.raises(TimeoutError):
        async with slot:
            await asyncio.Event().wait()


def test_a_slot_whose_owner_has_gone_in_the_very_moment_of_its_turn_is_not_lost() -> None:
    async def story() -> None:
        admission = Admission(limit=1)
        crowd = Crowd(admission, seconds=0)
        first = crowd.slot()
        await first.__aenter__()
        task = asyncio.create_task(crowd.come("second", ANONYMOUS))
        await asyncio.sleep(0)
        await first.__aexit__(None, None, None)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert (admission.in_flight, admission.waiting) == (0, 0)
        await crowd.come("third", ANONYMOUS)
        assert crowd.ended == [("third", 0.0)]

    run(story())


def test_limits_name_a_patience_for_every_priority() -> None:
    assert set(limits.PATIENCE_SECONDS) == set(PASSED_OVER) == set(Priority)


def test_a_request_whose_client_was_watched_leaves_nothing_for_the_collector() -> None:
    async def story() -> None:
        slot = Crowd(Admission(limit=10), seconds=0).slot()
        trace = weakref.ref(slot)
        async with slot:
            slot.received()
            await asyncio.sleep(2 * limits.DISCONNECT_PATIENCE_SECONDS)
        del slot
        assert trace() is None

    gc.disable()
    try:
        run(story())
    finally:
        gc.enable()
