"""How an endpoint of the messages API is asked, and how its misbehaviour looks."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.providers.anthropic import VERSION, Anthropic
from agent_runtime.providers.base import Chunk, ErrorClass, Json, Prompt, ProviderError
from agent_runtime.providers.connections import Connections
from agent_runtime.providers.endpoint import Endpoint
from agent_runtime.providers.keys import KeyFile
from tests.contract.runtime.serving import Handler, answer, events, upstream
from tests.unit.runtime.streams import until

ASKED = Prompt("front", [{"role": "user", "content": "hello"}])
BODY: Json = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 5, "output_tokens": 1},
}


@asynccontextmanager
async def remote(
    url: str, key: KeyFile | None = None, timeout_s: float = 5.0
) -> AsyncIterator[Anthropic]:
    async with aclosing(Connections()) as http:
        yield Anthropic(Endpoint("remote", f"{url}/v1", "claude-x", timeout_s), key, http)


def started(**usage: int) -> Json:
    return {"type": "message_start", "message": {"usage": {"input_tokens": 5, **usage}}}


def text(said: str) -> Json:
    delta = {"type": "text_delta", "text": said}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def ended(reason: str = "end_turn") -> tuple[Json, Json]:
    delta = {
        "type": "message_delta",
        "delta": {"stop_reason": reason},
        "usage": {"output_tokens": 2},
    }
    return delta, {"type": "message_stop"}


BEGUN = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
PING = {"type": "ping"}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error"}}


def stream_of(*sent: Any) -> Handler:
    return events(*sent, done=False)


async def chunks(handler: Handler, timeout_s: float = 5.0) -> list[Chunk]:
    async with upstream(handler) as there, remote(there.url, timeout_s=timeout_s) as provider:
        return [chunk async for chunk in provider.stream(ASKED)]


async def failure(handler: Handler, *, streaming: bool) -> ProviderError:
    async with upstream(handler) as there, remote(there.url) as provider:
        if streaming:
            _, found = await until(ProviderError, provider.stream(ASKED))
            return found
        with pytest.raises(ProviderError) as caught:
            await provider.complete(ASKED)
    return caught.value


async def test_the_endpoint_gets_version_key_and_translated_request(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sesame\n")
    key = KeyFile("remote", tmp_path / "key", origin="file key")
    async with upstream(answer(200, BODY)) as there, remote(there.url, key) as provider:
        found = await provider.complete(ASKED)
    (request,) = there.requests
    headers = request["headers"]
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("sesame", VERSION)
    assert "authorization" not in headers
    assert request["path"] == "/v1/messages"
    assert (request["body"]["model"], request["body"]["max_tokens"]) == ("claude-x", 4096)
    assert (found.message["content"], found.finish_reason) == ("hi", "stop")
    assert found.usage["total_tokens"] == 6


async def test_an_answer_without_usage_is_counted() -> None:
    async with (
        upstream(answer(200, {**BODY, "usage": None})) as there,
        remote(there.url) as provider,
    ):
        assert (await provider.complete(ASKED)).usage["total_tokens"] == 2


async def test_a_stream_gives_text_and_then_its_end_and_usage() -> None:
    found = await chunks(
        stream_of(started(cache_read_input_tokens=3), BEGUN, PING, text("o"), text("ne"), *ended())
    )
    assert [chunk.delta for chunk in found] == [{"content": "o"}, {"content": "ne"}, {}]
    assert found[-1].finish_reason == "stop"
    assert found[-1].usage is not None
    assert (found[-1].usage["prompt_tokens"], found[-1].usage["completion_tokens"]) == (8, 2)


async def test_tool_calls_are_counted_by_themselves() -> None:
    def opened(index: int, name: str) -> Json:
        block = {"type": "tool_use", "id": f"c{index}", "name": name, "input": {}}
        return {"type": "content_block_start", "index": index, "content_block": block}

    def more(index: int, part: str) -> Json:
        delta = {"type": "input_json_delta", "partial_json": part}
        return {"type": "content_block_delta", "index": index, "delta": delta}

    found = await chunks(
        stream_of(
            started(), BEGUN, text("see"),
            opened(1, "f"), more(1, '{"a"'), more(1, ": 1}"), opened(2, "g"), more(2, "{}"),
            *ended("tool_use"),
        )
    )  # fmt: skip
    calls = [call for chunk in found for call in chunk.delta.get("tool_calls", ())]
    assert [(call["index"], call["function"]["arguments"]) for call in calls] == [
        (0, ""), (0, '{"a"'), (0, ": 1}"), (1, ""), (1, "{}"),
    ]  # fmt: skip
    assert [call["function"].get("name") for call in calls if "id" in call] == ["f", "g"]
    assert found[-1].finish_reason == "tool_calls"


async def thinks_long(request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    thought = {"type": "thinking_delta", "thinking": "hm"}
    hm = {"type": "content_block_delta", "index": 0, "delta": thought}
    await stream_of(started())(request, writer)
    for _ in range(5):
        await asyncio.sleep(0.2)
        await _send(writer, hm)
    for event in (text("hi"), *ended()):
        await _send(writer, event)


async def pings_for_ever(request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    await stream_of(started())(request, writer)
    for _ in range(50):
        await asyncio.sleep(0.1)
        await _send(writer, PING)


async def _send(writer: asyncio.StreamWriter, event: Json) -> None:
    writer.write(f"data: {json.dumps(event)}\n\n".encode())
    await writer.drain()


async def test_thinking_is_work_and_a_ping_is_none() -> None:
    found = await chunks(thinks_long, timeout_s=0.6)
    assert found[0].delta == {"content": "hi"}
    with pytest.raises(ProviderError) as caught:
        await chunks(pings_for_ever, timeout_s=0.6)
    assert caught.value.error_class is ErrorClass.TIMEOUT


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("status", "error", "want"),
    [
        (400, {"type": "invalid_request_error", "message": "no"}, ErrorClass.REFUSED),
        (
            400,
            {"type": "invalid_request_error", "message": "Your credit balance is too low"},
            ErrorClass.QUOTA_EXHAUSTED,
        ),
        (400, {"type": "x", "message": "prompt is too long: 9"}, ErrorClass.CONTEXT_TOO_LONG),
        (401, {"type": "authentication_error", "message": "no"}, ErrorClass.AUTH),
        (429, {"type": "rate_limit_error", "message": "no"}, ErrorClass.RATE_LIMITED),
        (500, {"type": "api_error", "message": "no"}, ErrorClass.SERVER_ERROR),
        (529, {"type": "overloaded_error", "message": "no"}, ErrorClass.OVERLOADED),
    ],
)
async def test_an_error_has_a_class(
    status: int, error: Json, want: ErrorClass, *, streaming: bool
) -> None:
    found = await failure(answer(status, {"type": "error", "error": error}), streaming=streaming)
    assert found.error_class is want


@pytest.mark.parametrize(
    ("handler", "want"),
    [
        (stream_of(started()), ErrorClass.CONNECT),
        (stream_of(started(), *ended()[1:]), ErrorClass.CONNECT),
        (
            stream_of({"type": "error", "error": {"type": "overloaded_error"}}),
            ErrorClass.OVERLOADED,
        ),
        (stream_of(started(), {"no": "type"}), ErrorClass.BAD_ANSWER),
        (
            stream_of(started(), BEGUN, {**text(""), "delta": {"type": "text_delta"}}),
            ErrorClass.BAD_ANSWER,
        ),
    ],
)
async def test_a_stream_that_fails_before_its_first_piece_is_classed(
    handler: Handler, want: ErrorClass
) -> None:
    assert (await failure(handler, streaming=True)).error_class is want


@pytest.mark.parametrize(
    "rest",
    [
        (),
        (OVERLOADED,),
        ([1],),
        ({"type": "message_stop"},),
    ],
)
async def test_a_stream_that_fails_after_its_first_piece_is_broken(rest: tuple[Any, ...]) -> None:
    handler = stream_of(started(), BEGUN, text("hi"), *rest)
    async with upstream(handler) as there, remote(there.url) as provider:
        seen, found = await until(ProviderError, provider.stream(ASKED))
    assert [chunk.delta for chunk in seen] == [{"content": "hi"}]
    assert found.error_class is ErrorClass.BROKEN


@pytest.mark.parametrize(
    ("odd", "want"),
    [
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            ErrorClass.UNSUPPORTED,
        ),
        (
            {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]}]},
            ErrorClass.REFUSED,
        ),
        ({"options": {"tools": [{"type": "function"}]}}, ErrorClass.REFUSED),
        ({"options": {"response_format": {"type": "grammar"}}}, ErrorClass.UNSUPPORTED),
        ({"options": {"seed": 1}}, ErrorClass.UNSUPPORTED),
    ],
)
async def test_what_the_api_cannot_say_asks_nobody(odd: Json, want: ErrorClass) -> None:
    prompt = Prompt("front", odd.get("messages", ASKED.messages), odd.get("options", {}))
    async with upstream(answer(200, BODY)) as there, remote(there.url) as provider:
        with pytest.raises(ProviderError) as caught:
            await provider.complete(prompt)
    assert (caught.value.error_class, there.requests) == (want, [])
