"""The queue's invariants, on virtual time."""

from __future__ import annotations

import asyncio

import pytest

from agentsystem_operator.shell import queue
from agentsystem_operator.shell.queue import Queue
from tests.fakes.virtual_time import settle, virtual


def make() -> Queue[str]:
    """A queue whose backoffs are whole, without jitter."""
    return Queue(jitter=lambda: 1.0)


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual
async def test_a_key_added_often_is_handed_out_once() -> None:
    due = make()
    for _ in range(3):
        due.add("a")
    due.add("b")
    assert [await due.take(), await due.take(), due.depth] == ["a", "b", 0]


@virtual
async def test_a_key_is_never_worked_on_twice_at_once() -> None:
    due = make()
    due.add("a")
    assert await due.take() == "a"
    due.add("a")
    second = asyncio.create_task(due.take())
    await settle()
    assert not second.done()
    due.done("a")
    assert await second == "a"


@virtual
async def test_a_key_that_was_not_added_meanwhile_is_not_repeated() -> None:
    due = make()
    due.add("a")
    due.done(await due.take())
    assert (due.depth, due.running) == (0, 0)


@virtual
async def test_backoff_doubles_up_to_half_a_minute_and_is_forgotten_on_success() -> None:
    due = make()
    delays = [due.failed("a") for _ in range(12)]
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]
    due.succeeded("a")
    assert due.failed("a") == 0.5


@virtual
async def test_a_failed_key_comes_back_after_its_backoff() -> None:
    due, began = make(), now()
    due.failed("a")
    due.failed("a")
    assert await due.take() == "a"
    assert now() - began == pytest.approx(1.0)


@virtual
async def test_one_keys_backoff_does_not_delay_another() -> None:
    due, began = make(), now()
    due.failed("broken")
    due.add("well")
    assert await due.take() == "well"
    assert now() == began


@virtual
async def test_an_event_does_not_wait_for_a_backoff() -> None:
    due, began = make(), now()
    for _ in range(9):
        due.failed("a")
    due.add("a")
    assert await due.take() == "a"
    assert now() == began


@virtual
async def test_a_later_schedule_replaces_an_earlier_one() -> None:
    due, began = make(), now()
    due.schedule("a", 10)
    due.schedule("a", 60)
    due.schedule("b", 20)
    due.schedule("b", None)
    assert await due.take() == "a"
    assert now() - began == pytest.approx(60)


@virtual
async def test_no_delay_is_longer_than_an_hour() -> None:
    due, began = make(), now()
    due.schedule("a", 1e9)
    await due.take()
    assert now() - began == pytest.approx(queue.DELAY_MAX_S)


@virtual
async def test_a_paused_queue_hands_out_nothing_and_loses_nothing() -> None:
    due = make()
    due.add("a")
    due.pause()
    taken = asyncio.create_task(due.take())
    due.schedule("b", 5)
    await asyncio.sleep(60)
    assert not taken.done()
    due.resume(after_outage=False)
    assert await taken == "a"
    assert await due.take() == "b"


@virtual
async def test_after_an_outage_what_it_held_up_is_due_at_once() -> None:
    due = make()
    for _ in range(6):
        due.unreachable("a")
    due.failed("b")
    due.pause()
    due.resume(after_outage=True)
    began = now()
    assert await due.take() == "a"
    assert now() == began
    assert due.unreachable("a") == 0.5


@virtual
async def test_faults_of_the_apiserver_back_off_ten_seconds_at_most() -> None:
    due = make()
    assert [due.unreachable("a") for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]


@virtual
async def test_many_takers_share_the_work() -> None:
    due = make()
    takers = [asyncio.create_task(due.take()) for _ in range(16)]
    await settle()
    for number in range(16):
        due.add(str(number))
    assert sorted(await asyncio.gather(*takers), key=int) == [str(n) for n in range(16)]


@virtual
async def test_a_closed_queue_hands_out_nothing_ever_again() -> None:
    due = make()
    due.close()
    due.add("a")
    due.resume(after_outage=True)
    taken = asyncio.create_task(due.take())
    await asyncio.sleep(3600)
    assert not taken.done()
    taken.cancel()


@virtual
async def test_quiet_tells_when_nothing_is_worked_on() -> None:
    due = make()
    due.add("a")
    key = await due.take()
    assert not due.quiet.is_set()
    due.done(key)
    assert due.quiet.is_set()


def test_jitter_never_shortens_a_delay_below_its_half() -> None:
    assert queue.backoff(4, most_s=300, jitter=0.0) == 2.0
    assert queue.backoff(4, most_s=300, jitter=1.0) == 4.0


@virtual
async def test_a_long_queue_that_moves_is_not_stalled_and_one_that_stands_is() -> None:
    due = make()
    for number in range(100):
        due.add(str(number))
    for _ in range(50):
        await asyncio.sleep(10)
        due.done(await due.take())
    assert due.stalled_s == 0
    await asyncio.sleep(400)
    assert due.stalled_s == pytest.approx(400)
    due.moved()
    assert due.stalled_s == 0
    while due.depth:
        due.done(await due.take())
    await asyncio.sleep(400)
    assert due.stalled_s == 0


@virtual
async def test_what_people_asked_for_comes_first_and_the_rest_does_not_starve() -> None:
    due = make()
    for number in range(3):
        due.follow(f"cluster-{number}")
    for number in range(9):
        due.add(f"people-{number}")
    order = [(await due.take()).partition("-")[0] for _ in range(due.depth)]
    assert order[:8] == ["people"] * 3 + ["cluster"] + ["people"] * 3 + ["cluster"]
    assert order.count("cluster") == 3


async def _works(due: Queue[str], taken: list[tuple[str, float]]) -> None:
    while True:
        key = await due.take()
        taken.append((key, now()))
        await asyncio.sleep(0.1)
        due.soon(key)
        due.done(key)


@virtual
async def test_what_is_asked_for_all_the_time_comes_once_a_second_and_the_last_wish_too() -> None:
    due, taken, began = make(), list[tuple[str, float]](), now()
    worker = asyncio.create_task(_works(due, taken))
    for turn in range(50):
        due.add("hot")
        due.follow("hot")
        if turn == 25:
            due.add("calm")
        await asyncio.sleep(0.1)
    asked_last = now() - 0.1
    await asyncio.sleep(2)
    worker.cancel()
    hot = [at for key, at in taken if key == "hot"]
    assert 5 <= len([at for at in hot if at <= asked_last]) <= 6
    assert any(asked_last <= at <= asked_last + queue.APART_S for at in hot)
    assert next(at for key, at in taken if key == "calm") - began < 2.8


@virtual
async def test_a_key_asked_for_early_waits_outside_the_lanes_and_can_be_forgotten() -> None:
    due = make()
    due.add("a")
    due.done(await due.take())
    due.add("a")
    due.follow("a")
    assert due.depth == 0
    due.forget("a")
    await asyncio.sleep(2)
    assert due.depth == 0
    due.add("a")
    assert due.depth == 1


@virtual
async def test_a_key_that_waits_behind_moves_up_when_somebody_asks() -> None:
    due = make()
    due.follow("a")
    due.follow("b")
    due.add("b")
    due.follow("b")
    assert [await due.take(), await due.take(), due.depth] == ["b", "a", 0]


@virtual
async def test_what_comes_soon_comes_once_however_much_is_reported() -> None:
    due, began = make(), now()
    for _ in range(5):
        due.soon("a")
        await asyncio.sleep(queue.SOON_S / 10)
    assert due.depth == 0
    assert await due.take() == "a"
    assert now() - began == pytest.approx(queue.SOON_S)
    due.done("a")
    await asyncio.sleep(1)
    assert due.depth == 0


@virtual
async def test_what_comes_soon_while_a_key_is_worked_on_comes_once_a_moment_after_that() -> None:
    due = make()
    due.add("a")
    taken = await due.take()
    for _ in range(5):
        due.soon("a")
        await asyncio.sleep(queue.SOON_S)
    due.done(taken)
    began = now()
    due.done(await due.take())
    assert now() - began == pytest.approx(queue.SOON_S)
    await asyncio.sleep(1)
    assert due.depth == 0


@virtual
async def test_a_key_that_is_forgotten_while_it_is_worked_on_does_not_come_soon() -> None:
    due = make()
    due.add("a")
    taken = await due.take()
    due.soon("a")
    due.forget("a")
    due.done(taken)
    await asyncio.sleep(1)
    assert due.depth == 0


@virtual
async def test_what_was_reported_before_a_key_was_taken_up_is_no_reason_for_another_pass() -> None:
    due = make()
    due.soon("a")
    due.add("a")
    due.done(await due.take())
    await asyncio.sleep(1)
    assert due.depth == 0


@virtual
async def test_what_is_reported_while_a_key_is_worked_on_comes_again() -> None:
    for ask, lane in ((Queue.add, "first"), (Queue.follow, "second")):
        due = make()
        due.add("a")
        taken = await due.take()
        due.soon("a")
        await asyncio.sleep(1)
        ask(due, "a")
        due.follow("other")
        due.done(taken)
        assert await due.take() == ("a" if lane == "first" else "other")
        assert due.depth == 1


@virtual
async def test_a_forgotten_key_does_not_come_back_by_itself() -> None:
    due = make()
    due.soon("a")
    due.forget("a")
    await asyncio.sleep(1)
    assert due.depth == 0
