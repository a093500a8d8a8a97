"""Embeddings by the official `openai` client: from a script, from endpoints, and from siblings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from agent_runtime.providers import embedding
from tests.contract.runtime import serving, simulated
from tests.contract.runtime.serving import Handler, Served, answer, upstream

MODEL = "text-embedding-3-small"


@asynccontextmanager
async def client(document: dict[str, Any]) -> AsyncIterator[tuple[AsyncOpenAI, Served]]:
    async with (
        serving.serving(document) as served,
        AsyncOpenAI(base_url=f"{served.url}/v1", api_key="unused", max_retries=0) as api,
    ):
        yield api, served


def chain(*links: tuple[str, str, str]) -> dict[str, Any]:
    """Return a config of one agent whose chain is made of (type, url, model)."""
    names = [f"p{number}" for number in range(len(links))]
    sections = {"OpenAI": "openAI", "Anthropic": "anthropic"}
    return serving.config(
        "vectors",
        contract="v1.1",
        routes=[
            {
                "name": "chat",
                "chain": [
                    {"provider": name, "model": model}
                    for name, (_, _, model) in zip(names, links, strict=True)
                ],
            }
        ],
        providers=[
            {"name": name, "type": kind, sections[kind]: {"baseURL": url, "timeoutSeconds": 0.5}}
            for name, (kind, url, _) in zip(names, links, strict=True)
        ],
    )


async def test_a_script_makes_vectors_without_any_model() -> None:
    async with client(serving.config("front")) as (api, served):
        found = await api.embeddings.create(model="front", input=["one two", "three"], dimensions=8)
        floats = await api.embeddings.create(
            model="support", input="three", dimensions=8, encoding_format="float"
        )
        metrics = await served.metrics()
    assert [item.index for item in found.data] == [0, 1]
    assert found.data[1].embedding == pytest.approx(floats.data[0].embedding)
    assert floats.data[0].embedding == pytest.approx(embedding.vector(b"three", 8).tolist())
    assert (found.object, found.model, found.usage.total_tokens) == ("list", "front", 3)
    assert 'agent_tokens_total{agent="front",direction="input"} 4.0' in metrics
    assert 'agent_requests_total{agent="front",status="200"} 2.0' in metrics


async def test_an_endpoint_s_vectors_arrive_as_they_are() -> None:
    async with (
        simulated.simulating() as sim,
        client(chain(("OpenAI", f"{sim.url}/v1", MODEL))) as (api, _),
    ):
        found = await api.embeddings.create(model="vectors", input=["hello", "you"], dimensions=16)
        tokens = await api.embeddings.create(model="vectors", input=[[1, 2, 3]], dimensions=4)
        counts = await sim.counts()
    assert found.data[0].embedding == pytest.approx(embedding.vector(b"hello", 16).tolist())
    assert (len(tokens.data), tokens.usage.prompt_tokens) == (1, 3)
    assert counts["byModel"][MODEL]["billed"]["inputTokens"] == found.usage.total_tokens + 3


async def test_only_the_same_model_takes_over() -> None:
    rules = [{"fault": {"kind": "status", "status": 503}}]
    async with (
        simulated.simulating(rules=rules) as failing,
        simulated.simulating() as healthy,
        client(
            chain(
                ("Anthropic", f"{healthy.url}/v1", "claude"),
                ("OpenAI", f"{failing.url}/v1", MODEL),
                ("OpenAI", f"{healthy.url}/v1", "another-model"),
                ("OpenAI", f"{healthy.url}/v1", MODEL),
            )
        ) as (api, _),
    ):
        await api.embeddings.create(model="vectors", input="hello")
        counts = await healthy.counts()
        assert list(counts["byModel"]) == [MODEL]
        await healthy.order(rules=rules)
        with pytest.raises(openai.InternalServerError) as caught:
            await api.embeddings.create(model="vectors", input="hello")
        counts = await healthy.counts()
    assert (caught.value.status_code, caught.value.code) == (503, "provider_overloaded")
    assert list(counts["byModel"]) == [MODEL]


async def test_an_agent_that_cannot_embed_says_so() -> None:
    async with client(chain(("Anthropic", "http://127.0.0.1:9/v1", "claude"))) as (api, _):
        with pytest.raises(openai.BadRequestError, match="makes embeddings") as caught:
            await api.embeddings.create(model="vectors", input="hello")
        with pytest.raises(openai.NotFoundError):
            await api.embeddings.create(model=MODEL, input="hello")
        with pytest.raises(openai.BadRequestError) as empty:
            await api.embeddings.create(model="vectors", input=[])
    assert (caught.value.code, caught.value.param) == ("embeddings_not_supported", "model")
    assert (empty.value.code, empty.value.param) == ("invalid_value", "input")


async def hang(_request: dict[str, Any], _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(5)


DATA: Any = {"object": "embedding", "index": 0, "embedding": [1.0]}


@pytest.mark.parametrize(
    ("handler", "status", "code"),
    [
        (hang, 504, "provider_timeout"),
        (answer(429, {"error": {"message": "no"}}, retry_after="60"), 429, "rate_limit_exceeded"),
        (answer(200, {"data": []}), 502, "provider_bad_answer"),
        (answer(200, {"data": [{**DATA, "index": 1}]}), 502, "provider_bad_answer"),
        (answer(200, {"data": [{**DATA, "embedding": None}]}), 502, "provider_bad_answer"),
        (answer(400, {"error": {"message": "too long", "code": "c"}}), 400, "c"),
        (answer(200, {"data": [{**DATA, "embedding": [1.5] * 100}]}), 400, "provider_refused"),
    ],
)
async def test_a_provider_s_failure_is_told_as_in_a_chat(
    handler: Handler, status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_runtime.providers.endpoint.MAX_ANSWER_BYTES", 300)
    async with upstream(handler) as there, client(chain(("OpenAI", there.url, MODEL))) as (api, _):
        with pytest.raises(openai.APIStatusError) as caught:
            await api.embeddings.create(model="vectors", input="hello")
    assert (caught.value.status_code, caught.value.code) == (status, code)


async def test_vectors_without_usage_are_counted_and_come_in_the_order_of_the_texts() -> None:
    data = [{**DATA, "index": 1, "embedding": [2.0]}, DATA]
    async with (
        upstream(answer(200, {"data": data})) as there,
        client(chain(("OpenAI", there.url, MODEL))) as (api, _),
    ):
        found = await api.embeddings.create(
            model="vectors", input=["a b", "c"], encoding_format="float", user="u"
        )
    assert [item.embedding for item in found.data] == [[1.0], [2.0]]
    assert found.usage.total_tokens == 3
    assert there.requests[0]["path"] == "/embeddings"
    assert there.requests[0]["body"] == {
        "model": MODEL, "input": ["a b", "c"], "encoding_format": "float", "user": "u",
    }  # fmt: skip


async def test_a_sibling_embeds() -> None:
    async with serving.serving(serving.config("vectors")) as other:
        siblings = [{"name": "vectors", "url": other.url}]
        async with client(serving.config("front", siblings=siblings)) as (api, served):
            found = await api.embeddings.create(model="vectors", input="hello")
            metrics = await served.metrics()
    assert (found.model, len(found.data[0].embedding)) == ("vectors", embedding.DIMENSIONS)
    assert 'agent_requests_total{agent="vectors",status="200"} 1.0' in metrics
