"""The responses API by the official `openai` client: the same agents, told in another way."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from openai import AsyncOpenAI

from tests.contract.runtime import serving, simulated
from tests.contract.runtime.serving import EVENT_STREAM, Served, chunk, config, events, upstream
from tests.contract.runtime.test_openai_client import SCRIPT
from tests.unit.runtime import streams

SEVEN: Any = {"type": "function_call_output", "call_id": "c1", "output": "7"}
TOOL: Any = {
    "type": "function",
    "name": "look_up",
    "parameters": {
        "type": "object",
        "properties": {"word": {"type": "string"}},
        "required": ["word"],
    },
    "strict": True,
}


@pytest.fixture(autouse=True)
def never_blocks() -> Iterator[None]:
    """Fail a test in which our code keeps the event loop waiting."""
    with blockbuster_ctx(scanned_modules=["agent_runtime"]) as detector:
        assert isinstance(detector, BlockBuster)
        yield


@asynccontextmanager
async def talking(document: Any = None) -> AsyncIterator[tuple[AsyncOpenAI, Served]]:
    async with (
        serving.serving(document or config("front", "research", script=SCRIPT)) as served,
        AsyncOpenAI(base_url=f"{served.url}/v1", api_key="unused", max_retries=0) as api,
    ):
        yield api, served


@asynccontextmanager
async def simulating(**control: Any) -> AsyncIterator[tuple[AsyncOpenAI, simulated.Simulated]]:
    async with (
        simulated.simulating(**control) as sim,
        talking(serving.openai_config(f"{sim.url}/v1")) as (api, _),
    ):
        yield api, sim


async def test_a_plain_response() -> None:
    async with talking() as (api, served):
        found = await api.responses.create(
            model="front", input="count", instructions="be brief", metadata={"team": "a"}
        )
        metrics = await served.metrics()
    assert (found.output_text, found.status, found.model) == ("one two three", "completed", "front")
    assert (found.instructions, found.metadata) == ("be brief", {"team": "a"})
    assert found.to_dict()["store"] is False
    assert found.id.startswith("resp_")
    assert found._request_id == found.id
    assert found.usage is not None
    assert (found.usage.output_tokens, found.usage.total_tokens) == (3, 8)
    assert 'agent_requests_total{agent="front",status="200"} 1.0' in metrics
    assert 'agent_tokens_total{agent="front",direction="output"} 3.0' in metrics


async def test_a_streamed_response() -> None:
    async with talking() as (api, _):
        async with api.responses.stream(model="front", input="count") as stream:
            kinds = [event.type async for event in stream]
            final = await stream.get_final_response()
        raw = await api.responses.create(model="front", input="count", stream=True)
        seen = [event async for event in raw]
    delta = "response.output_text.delta"
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *[delta] * 3,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert (final.output_text, final.usage and final.usage.output_tokens) == ("one two three", 3)
    assert [event.sequence_number for event in seen] == list(range(len(kinds)))


async def test_a_tool_is_called_and_its_result_answered() -> None:
    script = {"default": "done", "rules": [{"match": "tea", "answer": "tool_call look_up {}"}]}
    async with simulating(answers=script) as (api, _):
        first = await api.responses.create(
            model="front", input="what is tea", tools=[TOOL], tool_choice="required"
        )
        (called,) = first.output
        assert called.type == "function_call"
        async with api.responses.stream(
            model="front", input="what is tea", tools=[TOOL], tool_choice="required"
        ) as stream:
            kinds = [event.type async for event in stream]
            streamed = (await stream.get_final_response()).output[0]
        talk: Any = [
            {"role": "user", "content": "what is it"},
            called.to_dict(),  # as the API's guide does it
            {**SEVEN, "call_id": called.call_id},
        ]
        answered = await api.responses.create(model="front", input=talk)
    assert (called.name, called.status) == ("look_up", "completed")
    assert "response.function_call_arguments.delta" in kinds
    assert kinds[-3:] == [
        "response.function_call_arguments.done", "response.output_item.done", "response.completed",
    ]  # fmt: skip
    assert streamed.type == "function_call"
    assert (streamed.name, streamed.arguments) == ("look_up", called.arguments)
    assert answered.output_text == "done"


async def test_an_endpoint_is_asked_by_chat_completions_with_images_and_a_schema() -> None:
    said = {"choices": [{"message": {"content": "{}"}, "finish_reason": "length"}]}
    async with (
        upstream(serving.answer(200, said)) as there,
        talking(serving.openai_config(there.url)) as (api, _),
    ):
        found = await api.responses.create(
            model="front",
            input=[
                {
                    "role": "user",
                    "content": [{"type": "input_image", "image_url": "data:,x", "detail": "low"}],
                }
            ],
            max_output_tokens=16,
            text={"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}},
        )
    (request,) = there.requests
    assert request["path"] == "/chat/completions"
    assert request["body"] == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be kind"},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:,x", "detail": "low"}}
                ],
            },
        ],
        "max_completion_tokens": 16,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": {"type": "object"}},
        },
    }
    assert found.incomplete_details is not None
    assert (found.status, found.incomplete_details.reason) == ("incomplete", "max_output_tokens")


async def test_a_session_is_one_conversation_in_both_apis() -> None:
    session = {"X-Session-Id": "s-1"}
    async with talking() as (api, _):
        first = await api.responses.create(model="front", input="hello", extra_headers=session)
        second = await api.chat.completions.create(
            model="front", messages=[{"role": "user", "content": "hello"}], extra_headers=session
        )
        async with api.responses.stream(
            model="front", input="hello", extra_headers=session
        ) as stream:
            third = await stream.get_final_response()
    turns = [first.output_text, second.choices[0].message.content, third.output_text]
    assert turns == [f"I am front in turn {turn}." for turn in (1, 2, 3)]


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"input": []}, "input", "empty_array"),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "unsupported_parameter"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "unsupported_parameter"),
    ],
)
async def test_a_wrong_request_is_a_bad_request(body: Any, param: str, code: str) -> None:
    async with talking() as (api, _):
        with pytest.raises(openai.BadRequestError) as caught:
            await api.responses.create(**{"model": "front", "input": "hello"} | body)
    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_the_answer_has_a_status(*, stream: bool) -> None:
    async with talking() as (api, _):
        with pytest.raises(openai.NotFoundError) as unknown:
            await api.responses.create(model="gpt-4o", input="hello", stream=stream)
        with pytest.raises(openai.RateLimitError) as limited:
            await api.responses.create(model="front", input="limit", stream=stream)
        with pytest.raises(openai.NotFoundError):
            await api.responses.retrieve("resp_1")
    assert unknown.value.code == "model_not_found"
    assert limited.value.response.headers["retry-after"] == "7"


async def stall(request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    await events(chunk("hi"), done=False)(request, writer)
    await asyncio.sleep(5)


async def test_a_break_and_a_silence_after_the_first_piece_are_told_in_the_stream() -> None:
    for handler in (events(chunk("hi"), done=False), stall):
        async with (
            upstream(handler) as there,
            talking(serving.openai_config(there.url, timeoutSeconds=1)) as (api, _),
        ):
            stream = await api.responses.create(model="front", input="hello", stream=True)
            seen, failure = await streams.until(openai.APIError, stream)
        assert failure.code == "provider_broke_off"
        assert seen[-1].type == "response.failed"
        assert seen[-1].response.error is not None
        assert seen[-1].response.error.code == "server_error"
        assert seen[-1].response.output_text == "hi"


async def test_a_client_s_own_timeout_ends_its_request() -> None:
    async with talking() as (api, served):
        with pytest.raises(openai.APITimeoutError):
            await api.with_options(timeout=0.5).responses.create(model="front", input="slow")
        async with asyncio.timeout(20):
            while served.parts.admission.in_flight:  # noqa: ASYNC110  # seen from outside
                await asyncio.sleep(0.01)


async def test_a_sibling_answers_and_streams() -> None:
    async with serving.serving(config("research", script=SCRIPT)) as other:
        siblings = [{"name": "research", "url": other.url}]
        async with talking(config("front", siblings=siblings)) as (api, _):
            plain = await api.responses.create(model="research", input="count")
            async with api.responses.stream(model="research", input="count") as stream:
                final = await stream.get_final_response()
            broken = await api.responses.create(model="research", input="break", stream=True)
            _, failure = await streams.until(openai.APIError, broken)
    assert (plain.model, plain.output_text, final.output_text) == (
        "research", "one two three", "one two three",
    )  # fmt: skip
    assert plain._request_id == plain.id
    assert failure.code == "provider_broke_off"


async def test_a_sibling_that_breaks_off_ends_the_stream_with_an_error_event() -> None:
    async def cut(_request: dict[str, Any], writer: Any) -> None:
        head = EVENT_STREAM.replace(b"connection: close", b"content-length: 999")
        writer.write(head + b'event: response.created\ndata: {"sequence_number":0}\n\nevent: re')

    async with upstream(cut) as there:
        siblings = [{"name": "research", "url": there.url}]
        async with (
            talking(config("front", siblings=siblings)) as (_, served),
            httpx.AsyncClient() as http,
        ):
            body = {"model": "research", "input": "hello", "stream": True}
            found = await http.post(f"{served.url}/v1/responses", json=body)
    assert there.requests[0]["path"] == "/v1/responses"
    created, error, rest = found.text.split("\n\n")
    assert (created.split("\n")[0], rest) == ("event: response.created", "")
    assert error.startswith("event: error\n")
    assert '"code":"agent_unreachable"' in error
    assert '"sequence_number":1' in error
