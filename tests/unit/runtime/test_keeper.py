"""Nothing is spent that was not reserved, and what is not known is not enough."""

from __future__ import annotations

import asyncio

import pytest

from agent_runtime.app import budgeting
from agent_runtime.channel.report import BudgetNow
from agent_runtime.cost import keeper as keepers
from agent_runtime.cost import money, settling
from agent_runtime.cost.budget import State, Totals
from agent_runtime.providers.base import ErrorClass
from tests.unit.runtime.budgeted import PAYEE, kept, settled

CENT = money.USD // 100


async def test_a_reservation_becomes_a_charge_that_the_answer_does_not_wait_for() -> None:
    async with kept() as world:
        hold = await world.keeper.reserve(PAYEE, 10 * CENT)
        assert await world.totals() == Totals(0, 10 * CENT)
        hold.settle(3 * CENT)
        assert await world.totals() == Totals(0, 10 * CENT)  # it is on its way
        await settled()
        assert await world.totals() == Totals(3 * CENT, 0)


async def test_a_hold_is_settled_once_whoever_closes_it_again() -> None:
    async with kept() as world:
        hold = await world.keeper.reserve(PAYEE, 10 * CENT)
        hold.settle(3 * CENT)
        hold.settle(0)
        await settled()
        assert await world.totals() == Totals(3 * CENT, 0)


async def test_two_hundred_at_once_never_hold_more_than_there_is() -> None:
    async with kept() as world:
        asked = (world.keeper.reserve(PAYEE, 3 * CENT) for _ in range(200))
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(one, keepers.Hold) for one in found) == 33
        assert await world.totals() == Totals(0, 99 * CENT)
        assert world.metric("agent_budget_refused_total", reason="budget_spent") == 167


async def test_what_will_not_fit_before_the_period_ends_is_told_when_it_ends() -> None:
    async with kept() as world:
        await world.spend(95 * CENT)
        refusal = await world.refused(6 * CENT)
        assert refusal.error_class is ErrorClass.BUDGET_SPENT
        assert refusal.retry_after_s == 12 * 3600
        assert refusal.message == (
            "the budget allows no such request: it may cost up to 0.06 USD, and 0.05 USD are left"
            " until 2026-11-29T00:00Z; ask again then, lower max_tokens, or raise budget.amount"
        )


async def test_what_only_others_reservations_leave_no_room_for_may_come_again_soon() -> None:
    async with kept() as world:
        hold = await world.keeper.reserve(PAYEE, 95 * CENT)
        assert (await world.refused(6 * CENT)).retry_after_s == 2
        hold.settle(0)
        await settled()
        await world.spend(6 * CENT)


async def test_an_exhausted_budget_is_not_asked_for_until_the_next_period() -> None:
    async with kept() as world:
        await world.spend(money.USD)
        assert world.keeper.last_known is State.EXHAUSTED
        before = len(world.ledger.calls)
        assert (await world.refused(1)).error_class is ErrorClass.BUDGET_SPENT
        assert len(world.ledger.calls) == before
        world.now.move(hours=12)
        await world.spend(CENT)
        assert world.keeper.state is State.AVAILABLE
        assert await world.totals("Day-2026-11-29") == Totals(CENT, 0)


async def test_an_answer_is_charged_to_the_period_in_which_it_began() -> None:
    async with kept() as world:
        hold = await world.keeper.reserve(PAYEE, CENT)
        world.now.move(hours=12)
        await world.keeper.look()
        hold.settle(CENT)
        await settled()
        assert await world.totals() == Totals(CENT, 0)
        assert world.keeper.totals == Totals()


async def test_leases_last_for_as_long_as_their_answers() -> None:
    async with kept() as world:
        await world.keeper.reserve(PAYEE, CENT)
        for _ in range(3):
            world.now.move(seconds=50)
            await world.keeper.look()
        assert await world.totals() == Totals(0, CENT)
        world.now.move(seconds=61)  # as if the process had been killed
        assert await world.totals() == Totals(0, 0)


async def test_a_request_given_up_while_it_reserves_leaves_nothing_behind() -> None:
    async with kept() as world:
        reached, go = asyncio.Event(), asyncio.Event()
        reserve = world.ledger.book.reserve

        async def slow(*words: object) -> object:
            found = await reserve(*words)  # type: ignore[arg-type]  # passed on as they are
            reached.set()
            await go.wait()
            return found

        world.ledger.book.reserve = slow  # type: ignore[method-assign,assignment]
        asked = asyncio.create_task(world.keeper.reserve(PAYEE, CENT))
        await reached.wait()
        assert await world.totals() == Totals(0, CENT)
        asked.cancel()
        await asyncio.wait([asked])
        await settled()
        assert await world.totals() == Totals(0, 0)


async def test_without_the_ledger_a_hundredth_of_what_was_left_may_be_spent() -> None:
    async with kept() as world:
        await world.spend(50 * CENT)
        world.ledger.away = True
        half = CENT // 4  # half a cent may be spent
        first = await world.keeper.reserve(PAYEE, half)
        await world.keeper.reserve(PAYEE, half)
        assert world.keeper.state is State.UNKNOWN
        refusal = await world.refused(1)
        assert refusal.error_class is ErrorClass.BUDGET_UNKNOWN
        assert refusal.retry_after_s == 1
        first.settle(half - 10)
        await world.keeper.reserve(PAYEE, 10)  # what it did not use is there again
        await world.refused(1)


async def test_what_is_owed_to_the_ledger_counts_against_that_hundredth() -> None:
    async with kept() as world:
        hold = await world.keeper.reserve(PAYEE, 10 * CENT)
        world.ledger.away = True
        hold.settle(CENT)
        await settled()
        # 90 cents are left, and 0.9 may be spent; 1 is owed
        assert (await world.refused(1)).error_class is ErrorClass.BUDGET_UNKNOWN


async def test_a_process_that_never_saw_this_period_may_spend_nothing_without_the_ledger() -> None:
    async with kept() as world:
        world.ledger.away = True
        world.now.move(days=1)
        await world.keeper.look()
        assert (await world.refused(1)).error_class is ErrorClass.BUDGET_UNKNOWN


async def test_each_charge_reaches_a_ledger_that_was_away_exactly_once() -> None:
    async with kept() as world:
        booked = await world.keeper.reserve(PAYEE, 10 * CENT)
        world.ledger.forgets = True  # the ledger does what it is told, and nobody hears of it
        booked.settle(CENT // 10)
        await settled()
        unbooked = await world.keeper.reserve(PAYEE, CENT // 10)
        unbooked.settle(CENT // 10)
        await settled()
        assert world.metric("agent_budget_unsettled") == 2
        world.ledger.forgets = False
        await settled()
        assert world.metric("agent_budget_unsettled") == 0
        assert await world.totals() == Totals(CENT // 5, 0)
        assert world.keeper.state is State.AVAILABLE


async def test_a_reservation_whose_reply_was_lost_is_given_back_and_its_answer_is_charged() -> None:
    async with kept() as world:
        world.ledger.forgets = True
        hold = await world.keeper.reserve(PAYEE, CENT // 10)
        assert (hold.booked, await world.totals()) == (False, Totals(0, CENT // 10))
        await settled()  # it is released, and nobody heard of that either
        hold.settle(CENT // 20)
        world.ledger.forgets = False
        await settled()
        assert await world.totals() == Totals(CENT // 20, 0)


async def test_more_charges_than_may_wait_for_the_ledger_stop_what_is_spent_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keepers, "MAX_UNSETTLED", 3)  # the first was given back as well
    async with kept() as world:
        world.ledger.away = True
        for _ in range(2):
            (await world.keeper.reserve(PAYEE, 1)).settle(1)
        await world.refused(1)


async def test_what_cannot_be_settled_at_the_end_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settling, "CLOSE_S", 0.01)
    async with kept() as world:
        hold = await world.keeper.reserve(PAYEE, CENT)
        world.ledger.book.settle = _never  # type: ignore[method-assign,assignment]
        hold.settle(CENT)
    assert [record.getMessage() for record in caplog.records if "lost" in record.getMessage()] == [
        "charges lost: no ledger"
    ]


async def _never(*_: object) -> Totals:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def test_an_answer_dearer_than_its_reservation_is_charged_in_full_and_counted() -> None:
    async with kept() as world:
        (await world.keeper.reserve(PAYEE, CENT)).settle(3 * CENT)
        await settled()
        assert await world.totals() == Totals(3 * CENT, 0)
        assert world.metric("agent_budget_overrun_usd_total") == pytest.approx(0.02)


async def test_metrics_and_channel_say_how_the_budget_is() -> None:
    async with kept() as world:
        await world.spend(85 * CENT)
        await world.keeper.reserve(PAYEE, 2 * CENT)
        assert world.metric("agent_budget_state") == 1
        parts = {part: world.metric("agent_budget_usd", part=part) for part in PARTS}
        assert parts == {"amount": 1.0, "spent": 0.85, "reserved": 0.02}
        assert budgeting.now(world.keeper) == BudgetNow("Warning")
        world.ledger.away = True
        await world.keeper.look()
        assert budgeting.now(world.keeper).state == "Unknown"
        assert world.metric("agent_budget_state") == -1
        assert str(world.metric("agent_budget_usd", part="spent")) == "nan"


PARTS = ("amount", "spent", "reserved")
