"""Each answer is charged exactly once, whatever becomes of it."""

import asyncio
import logging

import pytest

from agent_runtime.cost import money
from agent_runtime.providers.base import ErrorClass, ProviderError, Texts
from agent_runtime.providers.failures import CONDUCT
from tests.unit.runtime.metered import COST, USAGE, Bench, Model, prompt
from tests.unit.runtime.streams import until

REPORTED = {"agent": "front", "provider": "openai", "model": "m", "count": "reported"}
ESTIMATED = REPORTED | {"count": "estimated"}
COST_TOTAL = "agent_cost_usd_total"


async def test_an_answer_costs_what_its_provider_counted() -> None:
    bench, asked = Bench(Model()), prompt(tenant="acme", session="s1")
    await bench.metered.complete(asked)
    assert asked.receipt.cost_nano == COST
    assert not asked.receipt.estimated
    assert bench.metric(COST_TOTAL, **REPORTED) == COST / money.USD
    assert bench.metric("agent_tenant_cost_usd_total", tenant="acme") == COST / money.USD
    assert bench.accounts.session_nano(asked.receipt, "front") == COST


async def test_a_stream_costs_the_same_as_a_whole_answer() -> None:
    bench, asked = Bench(Model()), prompt()
    pieces = [chunk async for chunk in bench.metered.stream(asked)]
    assert pieces[-1].usage == USAGE
    assert asked.receipt.cost_nano == COST
    assert bench.metric(COST_TOTAL, **ESTIMATED) is None


async def test_vectors_cost_what_their_provider_counted() -> None:
    bench, receipt = Bench(Model()), prompt(tenant="acme").receipt
    await bench.metered.embed(Texts("front", ["one", "two"], receipt=receipt))
    assert receipt.cost_nano == COST
    assert bench.metric("agent_tenant_cost_usd_total", tenant="acme") == COST / money.USD


async def test_vectors_that_failed_cost_nothing() -> None:
    failure = ProviderError(ErrorClass.TIMEOUT, "openai", "late")
    bench, texts = Bench(Model(failure=failure)), Texts("front", ["one"])
    with pytest.raises(ProviderError):
        await bench.metered.embed(texts)
    assert texts.receipt.cost_nano == 0


async def test_a_session_and_a_day_add_up_over_requests() -> None:
    bench = Bench(Model())
    for _ in range(3):
        await bench.metered.complete(asked := prompt(session="s1"))
    assert bench.accounts.session_nano(asked.receipt, "front") == 3 * COST
    bench.accounts.show()
    assert bench.metric("agent_cost_today_usd") == 3 * COST / money.USD
    bench.clock.now += 86_400
    bench.accounts.show()
    assert bench.metric("agent_cost_today_usd") == 0


async def test_the_same_session_id_of_two_tenants_is_two_sessions() -> None:
    bench = Bench(Model())
    await bench.metered.complete(prompt(tenant="a", session="s1"))
    assert bench.accounts.session_nano(prompt(tenant="b", session="s1").receipt, "front") == 0


async def test_an_answer_without_usage_is_estimated_and_says_so() -> None:
    for bench in (Bench(Model(usage=None)), Bench(Model(usage={"prompt_tokens": 0}))):
        await bench.metered.complete(asked := prompt())
        assert asked.receipt.estimated
        assert asked.receipt.cost_nano > 0
        assert bench.metric(COST_TOTAL, **REPORTED) is None


async def test_a_model_without_a_price_is_said_once_and_its_cost_is_unknown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(Model(), price=None)
    for _ in range(2):
        await bench.metered.complete(asked := prompt())
    assert asked.receipt.unpriced
    assert bench.metric("agent_cost_unknown_total", provider="openai", model="m") == 2
    assert bench.metric(COST_TOTAL, **REPORTED) is None
    said = [r for r in caplog.records if r.getMessage().startswith("model without a price")]
    assert len(said) == 1


async def test_a_request_over_one_dollar_warns_once_and_without_a_word_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(Model(usage={"prompt_tokens": 600_000, "completion_tokens": 1}))
    asked = prompt()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):  # a chain of three that each answered a part of one request
            await bench.metered.complete(asked)
    assert bench.metric("agent_expensive_requests_total", agent="front") == 1
    (record,) = caplog.records
    assert record.__dict__["cost_usd"] == "1.20002"
    assert "shoes" not in str(record.__dict__)


@pytest.mark.parametrize("error_class", list(ErrorClass))
async def test_a_failure_is_charged_if_the_table_says_so(error_class: ErrorClass) -> None:
    bench = Bench(Model(failure=ProviderError(error_class, "openai", "failed")))
    asked = prompt()
    with pytest.raises(ProviderError):
        await bench.metered.complete(asked)
    assert (asked.receipt.cost_nano > 0) == CONDUCT[error_class].charge
    assert asked.receipt.estimated == CONDUCT[error_class].charge


async def test_a_broken_stream_costs_its_prompt_and_what_had_come() -> None:
    broken = ProviderError(ErrorClass.BROKEN, "openai", "broke off")
    short, long = prompt(), prompt()
    await until(ProviderError, Bench(Model(("a" * 45,), failure=broken)).metered.stream(short))
    await until(ProviderError, Bench(Model(("a" * 90,), failure=broken)).metered.stream(long))
    assert long.receipt.cost_nano - short.receipt.cost_nano == 10 * 10_000
    assert short.receipt.estimated


async def test_what_a_broken_stream_had_told_of_its_prompt_counts_more_than_a_guess() -> None:
    broken = ProviderError(ErrorClass.BROKEN, "openai", "broke off")
    broken.usage = {"prompt_tokens": 7000, "completion_tokens": 1}
    asked = prompt()
    await until(ProviderError, Bench(Model(("a" * 45,), failure=broken)).metered.stream(asked))
    assert asked.receipt.cost_nano == 7000 * 1000 + 10 * 10_000


async def test_a_stream_that_nobody_wants_any_more_is_charged_as_far_as_it_came() -> None:
    bench, asked = Bench(Model(("a" * 45, "b" * 45))), prompt()
    stream = bench.metered.stream(asked)
    await anext(stream)
    await stream.aclose()
    assert bench.metric(COST_TOTAL, **ESTIMATED) == asked.receipt.cost_nano / money.USD > 0


async def test_a_stream_that_is_left_after_its_end_is_not_charged_twice() -> None:
    bench, asked = Bench(Model()), prompt()
    stream = bench.metered.stream(asked)
    async for chunk in stream:
        if chunk.finish_reason:
            break
    await stream.aclose()
    assert asked.receipt.cost_nano == COST
    assert bench.metric(COST_TOTAL, **ESTIMATED) is None


async def test_a_cancelled_request_is_charged_its_prompt() -> None:
    class Slow(Model):
        async def complete(self, _prompt: object) -> None:  # type: ignore[override]  # never ends
            await asyncio.Event().wait()

    bench, asked = Bench(Slow()), prompt()
    task = asyncio.create_task(bench.metered.complete(asked))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert asked.receipt.estimated
    assert asked.receipt.cost_nano > 0


async def test_tenants_beyond_the_bound_share_one_label() -> None:
    bench = Bench(Model())
    for number in range(105):
        await bench.metered.complete(prompt(tenant=f"t{number}"))
    assert bench.metric("agent_tenant_cost_usd_total", tenant="(others)") == 5 * COST / money.USD
