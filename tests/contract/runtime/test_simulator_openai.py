"""The official `openai` client finds OpenAI in the simulator: answers, streams, tools, errors."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.contract.runtime.simulated import CHAT, Simulated, ask, simulating

SCRIPT = {
    "default": "one two three",
    "rules": [{"match": "weather", "answer": 'tool_call weather {"city": "Paris"}'}],
}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@asynccontextmanager
async def talking(**document: Any) -> AsyncIterator[tuple[AsyncOpenAI, Simulated]]:
    async with simulating(**{"answers": SCRIPT, **document}) as simulator:
        url = f"{simulator.url}/v1"
        async with AsyncOpenAI(base_url=url, api_key="sk-secret", max_retries=0) as api:
            yield api, simulator


async def test_a_plain_answer() -> None:
    async with talking() as (api, _):
        answer = await api.chat.completions.create(**ask())
    assert answer.choices[0].message.content == "one two three"
    assert (answer.object, answer.model, answer.choices[0].finish_reason) == (
        "chat.completion", "m", "stop",
    )  # fmt: skip
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 3)
    assert answer._request_id is not None


async def test_a_stream_has_the_text_and_the_usage_of_the_plain_answer() -> None:
    async with talking() as (api, simulator):
        plain = await api.chat.completions.create(**ask())
        stream = await api.chat.completions.create(
            **ask(), stream=True, stream_options={"include_usage": True}
        )
        *pieces, last = [piece async for piece in stream]
        counts = await simulator.counts()
    deltas = [piece.choices[0].delta for piece in pieces]
    assert [delta.content for delta in deltas] == ["", "one", " two", " three", None]
    assert deltas[0].role == "assistant"
    assert [piece.choices[0].finish_reason for piece in pieces] == [None] * 4 + ["stop"]
    assert all(piece.usage is None for piece in pieces)
    assert (last.choices, last.usage) == ([], plain.usage)
    assert counts["billed"]["outputTokens"] == 6


async def test_without_include_usage_no_usage_is_told() -> None:
    async with talking() as (api, _):
        stream = await api.chat.completions.create(**ask(), stream=True)
        pieces = [piece async for piece in stream]
    assert all(piece.usage is None and piece.choices for piece in pieces)


async def test_max_tokens_ends_an_answer() -> None:
    async with talking() as (api, _):
        answer = await api.chat.completions.create(**ask(max_completion_tokens=2))
    assert answer.choices[0].message.content == "one two"
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize(("text", "choice"), [("weather", "auto"), ("hello", "required")])
async def test_a_tool_call_plain_and_streamed(text: str, choice: str) -> None:
    request = ask(text, tools=[TOOL], tool_choice=choice)
    async with talking() as (api, _):
        plain = await api.chat.completions.create(**request)
        async with api.chat.completions.stream(**request) as stream:
            final = await stream.get_final_completion()
    for completion in (plain, final):
        called = completion.choices[0]
        assert (called.finish_reason, called.message.content) == ("tool_calls", None)
        assert called.message.tool_calls is not None
        [call] = called.message.tool_calls
        assert call.type == "function"
        assert call.function.name == "weather"
        city = {"weather": "Paris", "hello": "text"}[text]
        assert json.loads(call.function.arguments) == {"city": city}


async def test_json_mode_answers_json() -> None:
    async with talking() as (api, _):
        answer = await api.chat.completions.create(**ask(response_format={"type": "json_object"}))
    assert json.loads(answer.choices[0].message.content or "") == {"answer": "one two three"}


async def test_embeddings_have_the_asked_dimensions_and_are_the_same_in_both_encodings() -> None:
    async with talking() as (api, _):
        made = api.embeddings
        packed = await made.create(model="e", input=["a", "b"], dimensions=8)  # base64, by default
        plain = await made.create(
            model="e", input=["a", "b"], dimensions=8, encoding_format="float"
        )
        usual = await made.create(model="e", input="a")
    assert [len(each.embedding) for each in packed.data] == [8, 8]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding)
    assert packed.data[0].embedding != packed.data[1].embedding
    assert packed.usage.total_tokens == 2
    assert len(usual.data[0].embedding) == 1536


async def test_models_are_listed_and_any_name_is_known() -> None:
    async with talking() as (api, _):
        names = [model.id async for model in api.models.list()]
        one = await api.models.retrieve("gpt-4o")
    assert names == ["sim-small", "sim-large", "sim-embedding"]
    assert one.id == "gpt-4o"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_a_status_is_the_clients_own_error(
    status: int, kind: type[openai.APIStatusError]
) -> None:
    async with talking() as (api, _):
        headers = {"x-simulate": f"status; status={status}"}
        with pytest.raises(kind) as caught:
            await api.chat.completions.create(**ask(), extra_headers=headers)
    assert isinstance(caught.value.body, dict)
    assert set(caught.value.body) == {"message", "type", "param", "code"}


async def test_an_exhausted_quota_is_told_as_openai_tells_it() -> None:
    async with talking(rules=[{"fault": {"kind": "quota"}}]) as (api, _):
        with pytest.raises(openai.RateLimitError) as caught:
            await api.chat.completions.create(**ask())
    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
    assert "retry-after" not in caught.value.response.headers


async def test_an_error_inside_a_stream_reaches_the_client() -> None:
    headers = {"x-simulate": "errorBody; afterChunks=2"}
    async with talking() as (api, _):
        stream = await api.chat.completions.create(**ask(), stream=True, extra_headers=headers)
        seen = [(await anext(stream)).choices[0].delta.content for _ in range(3)]
        with pytest.raises(openai.APIError, match="server had an error"):
            await anext(stream)
    assert seen == ["", "one", " two"]


async def test_the_client_retries_until_a_rule_has_healed() -> None:
    rule = {"fault": {"kind": "status", "status": 500}, "count": 2}
    async with talking(rules=[rule]) as (api, simulator):
        patient = api.with_options(max_retries=3)
        answer = await patient.chat.completions.create(**ask())
        counts = await simulator.counts()
    assert answer.choices[0].message.content == "one two three"
    assert (counts["requests"], counts["completed"]) == (3, 1)
    assert counts["byStatus"] == {"500": 2, "200": 1}


async def test_a_slow_answer_runs_into_the_clients_timeout() -> None:
    async with talking(rules=[{"fault": {"kind": "hang"}}]) as (api, _):
        with pytest.raises(openai.APITimeoutError):
            await api.with_options(timeout=0.3).chat.completions.create(**ask())


AZURE = "/openai/deployments/gpt%3A4o/chat/completions"
VERSION = "?api-version=2024-10-21"


async def test_azure_s_paths_name_the_model_and_want_a_version_and_their_own_header() -> None:
    async with simulating(answers=SCRIPT) as simulator:
        found, answer = await simulator.post(AZURE + VERSION, ask(), **{"api-key": "k"})
        embedded, _ = await simulator.post(
            f"/openai/deployments/e/embeddings{VERSION}", {"input": "a"}, **{"api-key": "k"}
        )
        no_version, _ = await simulator.post(AZURE, ask(), **{"api-key": "k"})
        odd_version, _ = await simulator.post(f"{AZURE}?api-version=v1", ask(), **{"api-key": "k"})
        no_key, body = await simulator.post(AZURE + VERSION, ask(), authorization="Bearer k")
        counts = await simulator.counts()
    assert [each.status for each in (found, embedded, no_version, odd_version, no_key)] == [
        200, 200, 404, 404, 401,
    ]  # fmt: skip
    assert answer["model"] == "gpt:4o"
    assert body["error"]["code"] == "401"
    assert counts["byModel"]["gpt:4o"]["completed"] == counts["byModel"]["e"]["completed"] == 1


async def test_a_rule_may_look_at_headers() -> None:
    rule = {"match": {"headers": {"X-Team": "red-*"}}, "fault": {"kind": "status", "status": 503}}
    async with simulating(rules=[rule]) as simulator:
        found = [
            (await simulator.post(CHAT, ask(), **headers))[0].status
            for headers in ({"x-team": "red-1"}, {"x-team": "blue"}, {"x-other": "red-1"})
        ]
    assert found == [503, 200, 200]


@pytest.mark.parametrize("path", ["/chat/completions", CHAT, "/deep/down" + CHAT])
async def test_paths_with_and_without_a_prefix_are_answered(path: str) -> None:
    async with simulating(answers=SCRIPT) as simulator:
        response, body = await simulator.post(path, ask())
    assert (response.status, body["choices"][0]["message"]["content"]) == (200, "one two three")


async def test_what_is_no_request_is_refused_in_openais_shape() -> None:
    async with simulating() as simulator:
        missing, body = await simulator.post(CHAT, {"model": "m"})
        nowhere, _ = await simulator.post("/v1/nothing", {})
    assert (missing.status, nowhere.status) == (400, 404)
    assert body["error"]["message"] == "messages: Field required"
