"""What answers cost, with the runtime and a simulated provider on real sockets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent_runtime.app import receipts
from agent_runtime.cost import money, prices
from tests.contract.runtime import charges
from tests.contract.runtime.serving import config, serving
from tests.contract.runtime.simulated import Simulated, simulating

MODELS = {"OpenAI": "gpt-4o-mini", "Anthropic": "claude-haiku-4-5"}
COST = 'agent_cost_usd_total{agent="front",'
REPEATED = {"default": "{message} {message} {message}"}
LEARNED = (
    "Where is my parcel? It should have been here on Monday.",
    "我的包裹在哪里。它应该在星期一到达。",
    '{"question": "refund", "amount": 12.5}',
)
TEXTS = (
    "Please tell me how I can return the shoes that I ordered last week, since they do not fit me.",
    "请帮我查询一下昨天下单的订单现在到哪里了。我想退货。尺寸不合适。麻烦您告诉我退货流程。",
    '{"order": 4711, "state": "delivered", "items": [{"sku": "A-17", "size": 42, "price": 59.9}]}',
    "The parcel was handed over to the carrier on Tuesday and 预计明天送达 if customs let it pass.",
)


def asking(simulated: Simulated, kind: str, keys: Path) -> dict[str, Any]:
    key = keys / "key"
    key.write_text("sk-secret")
    section = {
        "baseURL": f"{simulated.url}/v1",
        "timeoutSeconds": 5.0,
        "apiKey": {"file": str(key)},
    }
    name = {"OpenAI": "openAI", "Anthropic": "anthropic"}[kind]
    return config(
        contract="v1.1",
        routes=[{"name": "chat", "chain": [{"provider": "remote", "model": MODELS[kind]}]}],
        providers=[{"name": "remote", "type": kind, name: section}],
    )


async def ask(url: str, text: str, **more: Any) -> tuple[Any, str]:
    body = {"messages": [{"role": "user", "content": text}], **more}
    headers = {"x-session-id": "s1"} if not more.get("stream") else {}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response,
    ):
        return response.headers, await response.text()


@pytest.mark.parametrize("kind", MODELS)
async def test_the_cost_of_an_answer_is_what_its_provider_bills(kind: str, tmp_path: Path) -> None:
    async with (
        simulating() as simulated,
        serving(asking(simulated, kind, tmp_path), tmp_path) as served,
    ):
        headers, text = await ask(served.url, TEXTS[0])
        price = prices.table().of(MODELS[kind])
        assert price
        cost = price.nano(prices.counts_of(json.loads(text)["usage"]))
        billed = (await simulated.counts())["billed"]
        counts = prices.Counts(billed["inputTokens"], billed["outputTokens"])
        assert headers[receipts.COST] == headers[receipts.SESSION_COST] == money.usd(cost)
        assert cost == price.nano(counts) > 0
        assert receipts.COUNT not in headers
        assert charges.of(await served.metrics(), 'agent_cost_usd_total{agent="front"') == cost


async def test_a_stream_tells_its_cost_with_its_usage(tmp_path: Path) -> None:
    async with (
        simulating() as simulated,
        serving(asking(simulated, "OpenAI", tmp_path), tmp_path) as served,
    ):
        _, text = await ask(
            served.url, TEXTS[0], stream=True, stream_options={"include_usage": True}
        )
        events = [event.removeprefix("data: ") for event in text.split("\n\n")]
        (usage,) = [json.loads(event)["usage"] for event in events if "cost_usd" in event]
        price = prices.table().of(MODELS["OpenAI"])
        assert price
        assert usage["cost_usd"] == money.usd(price.nano(prices.counts_of(usage)))


@pytest.mark.parametrize("kind", MODELS)
async def test_broken_streams_cost_what_the_provider_counts_within_15_percent(
    kind: str, tmp_path: Path
) -> None:
    """The provider's own count: its prompts as it bills them whole, and the output until it broke.

    The runtime has seen some whole answers, on other texts: no process is so young for long.
    """
    async with (
        simulating(answers=REPEATED) as simulated,
        serving(asking(simulated, kind, tmp_path), tmp_path) as served,
    ):
        for text in LEARNED:
            await ask(served.url, text, stream=True)
        learned = (await simulated.counts())["billed"]["inputTokens"]
        await simulated.order(
            answers=REPEATED, rules=[{"fault": {"kind": "reset", "afterChunks": 40}}]
        )
        for text in TEXTS:
            _, answer = await ask(served.url, text, stream=True)
            assert "provider_broke_off" in answer
        output = (await simulated.counts())["broken"]["outputTokens"]
        estimated = charges.of(await served.metrics(), f'{COST}count="estimated"')
        await simulated.order(answers=REPEATED)
        for text in TEXTS:  # for what the provider counts of these prompts
            await ask(served.url, text, stream=True)
        whole = (await simulated.counts())["billed"]["inputTokens"] - learned
        price = prices.table().of(MODELS[kind])
        assert price
        assert output > 100
        want = price.nano(prices.Counts(whole, output))
        assert estimated == pytest.approx(want, rel=0.15)


async def test_a_model_without_a_price_costs_an_unknown_sum_and_a_scripted_one_nothing(
    tmp_path: Path,
) -> None:
    async with simulating() as simulated:
        document = asking(simulated, "OpenAI", tmp_path)
        document["routes"][0]["chain"][0]["model"] = "my-own"
        async with serving(document, tmp_path) as served:
            headers, _ = await ask(served.url, "hello")
            assert headers[receipts.COST] == "unknown"
            assert 'agent_cost_unknown_total{model="my-own"' in await served.metrics()
    async with serving(config(), tmp_path) as served:
        headers, _ = await ask(served.url, "hello")
        assert headers[receipts.COST] == "0"
