"""A metered model with a budget: each way in which a call can end settles its reservation, once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from agent_runtime.cost import bounds, prices
from agent_runtime.cost.accounts import Accounts
from agent_runtime.cost.meter import Metered, Rate
from agent_runtime.cost.prices import FREE, Counts, Price
from agent_runtime.providers.base import Answer, ErrorClass, Json, Prompt, ProviderError, Texts
from agent_runtime.providers.breaker import Breaker, Guarded
from agent_runtime.providers.failures import CONDUCT, UNAFFORDABLE
from agent_runtime.providers.route import Route
from tests.unit.runtime.budgeted import PAYEE, World, kept, settled
from tests.unit.runtime.metered import COST, PRICE, Model, prompt


def metered(world: World, model: Model, price: Price | None = PRICE) -> Metered:
    accounts = Accounts(world.metrics, budget=world.keeper)
    return Metered(Rate(PAYEE, price), model, accounts, world.keeper)


async def charged(world: World) -> int:
    """Return what is settled, when nothing is reserved any more."""
    await settled()
    totals = await world.totals()
    assert totals.reserved == 0
    return totals.settled


async def test_an_answer_is_charged_what_it_cost_and_the_rest_is_given_back() -> None:
    async with kept() as world:
        model = metered(world, Model())
        await model.complete(prompt())
        assert await charged(world) == COST
        assert [chunk async for chunk in model.stream(prompt())]
        assert await charged(world) == 2 * COST
        await model.embed(Texts("front", ["a"]))
        assert await charged(world) == 3 * COST


@pytest.mark.parametrize("error", ErrorClass)
async def test_a_failure_is_charged_if_it_may_have_been_billed(error: ErrorClass) -> None:
    async with kept() as world:
        model = metered(world, Model(failure=ProviderError(error, "openai", "no")))
        with pytest.raises(ProviderError):
            await model.complete(prompt())
        assert (await charged(world) > 0) is CONDUCT[error].charge
        before = await charged(world)
        with pytest.raises(ProviderError):
            await model.embed(Texts("front", ["a"]))
        assert await charged(world) == before


async def test_a_stream_that_its_caller_leaves_is_charged_once() -> None:
    async with kept() as world:
        asked = prompt()
        async with aclosing(metered(world, Model()).stream(asked)) as chunks:
            async for _ in chunks:
                break
        assert await charged(world) == asked.receipt.cost_nano > 0


async def test_a_call_that_is_cancelled_is_charged_once() -> None:
    class Slow(Model):
        async def complete(self, prompt: Prompt) -> Answer:
            await asyncio.Event().wait()
            return await super().complete(prompt)

    async with kept() as world:
        asked = prompt()
        call = asyncio.create_task(metered(world, Slow()).complete(asked))
        await settled()
        call.cancel()
        await asyncio.wait([call])
        assert await charged(world) == asked.receipt.cost_nano > 0


async def test_what_the_budget_has_no_room_for_is_not_asked() -> None:
    async with kept() as world:
        model = Model()
        await world.spend(999_999_000)
        with pytest.raises(ProviderError) as caught:
            await metered(world, model).complete(prompt())
        assert caught.value.error_class is ErrorClass.BUDGET_SPENT
        assert model.asked == []


async def test_a_model_without_a_price_is_refused_and_the_message_names_the_fix() -> None:
    async with kept() as world:
        model = Model()
        with pytest.raises(ProviderError) as caught:
            await metered(world, model, None).complete(prompt())
        assert caught.value.error_class is ErrorClass.UNPRICED
        assert caught.value.message == (
            "model 'm' of provider 'openai' has no known price, and a budget allows none such; add"
            " it to budget.prices"
        )
        assert model.asked == []
        assert world.metric("agent_budget_refused_total", reason="unpriced") == 1


async def test_what_costs_nothing_needs_no_reservation() -> None:
    async with kept() as world:
        await world.spend(1_000_000_000)
        before = len(world.ledger.calls)
        await metered(world, Model(), FREE).complete(prompt())
        assert len(world.ledger.calls) == before


async def test_a_refusal_says_nothing_of_the_provider_and_the_next_one_is_asked() -> None:
    async with kept() as world:
        await world.spend(1_000_000_000)
        breaker, free = Breaker(), Model()
        dear = Guarded("openai", metered(world, Model()), breaker)
        for _ in range(9):
            await Route([dear, free]).complete(prompt())
        assert breaker.asked_at is None
        assert len(free.asked) == 9


def test_no_refusal_of_the_budget_is_retried_charged_or_held_against_a_provider() -> None:
    for error in UNAFFORDABLE:
        conduct = CONDUCT[error]
        assert (conduct.retry, conduct.fall_back) == (False, True)
        assert (conduct.opens_breaker, conduct.charge) == (False, False)


@pytest.mark.parametrize(
    ("options", "model", "sent", "output"),
    [
        ({}, "gpt-4o-mini", {"max_tokens": 4096}, 4096),
        ({}, "o3-mini", {"max_completion_tokens": 4096}, 4096),
        ({"max_tokens": 7}, "m", {"max_tokens": 7}, 7),
        ({"max_completion_tokens": 7, "n": 3}, "m", {"max_completion_tokens": 7, "n": 3}, 21),
        ({"max_tokens": 0}, "m", {"max_tokens": 4096}, 4096),
        ({"max_tokens": True}, "m", {"max_tokens": 4096}, 4096),
    ],
)
def test_an_answer_without_a_bound_gets_one(
    options: Json, model: str, sent: Json, output: int
) -> None:
    bound, most = bounds.of(prompt(**options), model)
    assert (bound, most.output) == (sent, output)


def test_a_prompt_has_at_most_as_many_tokens_as_bytes_and_an_image_a_fixed_number() -> None:
    def size(content: object) -> int:
        asked = Prompt("front", [{"role": "user", "content": content}])
        return bounds.of(asked, "m")[1].input

    text = "价" * 100
    assert size(text) >= 300
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 99_999}}
    assert 8192 < size([{"type": "text", "text": text}, image]) < 8192 + 500
    sound = {"type": "input_audio", "input_audio": {"data": "A" * 50_000, "format": "wav"}}
    assert size([sound]) > 50_000
    assert bounds.of_texts(Texts("front", ["价格", [1, 2, 3]])) == Counts(9)


def test_a_prompt_is_reserved_at_the_dearest_price_of_its_kinds() -> None:
    price = prices.price(input="1", output="10", cache_write="1.25", cache_read="0.1")
    assert price.most_nano(Counts(1000, 10)) == 1_250_000 + 100_000


def test_own_prices_come_first_and_belong_to_a_provider() -> None:
    own = prices.price(input="9", output="9", cache_write=None, cache_read=None)
    table = prices.table({("azure", "gpt-4o-mini"): own})
    shipped = prices.table().of("gpt-4o-mini")
    assert table.of("gpt-4o-mini", "azure") == own
    assert table.of("gpt-4o-mini-2024-07-18", "azure") == own
    assert table.of("gpt-4o-mini", "openai") == shipped != own
