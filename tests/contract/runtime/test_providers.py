"""What every provider promises, and how an OpenAI-compatible endpoint's misbehaviour looks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.providers import script
from agent_runtime.providers.base import (
    Answer,
    Chunk,
    ErrorClass,
    Json,
    Prompt,
    Provider,
    ProviderError,
)
from agent_runtime.providers.connections import Connections
from agent_runtime.providers.endpoint import Endpoint
from agent_runtime.providers.keys import KeyFile
from agent_runtime.providers.openai_compatible import OpenAICompatible
from agent_runtime.providers.route import Route
from agent_runtime.providers.scripted import ScriptedProvider
from tests import ports
from tests.contract.runtime import serving
from tests.contract.runtime.serving import Handler, answer, chunk, events, upstream

ASKED = Prompt("front", [{"role": "user", "content": "hello"}], {"temperature": 0.1})
SAID = "one two three"
SCRIPT = f"default: {SAID}"


@asynccontextmanager
async def remote(
    url: str, key: KeyFile | None = None, timeout_s: float = 5.0
) -> AsyncIterator[OpenAICompatible]:
    async with aclosing(Connections()) as http:
        yield OpenAICompatible(Endpoint("remote", url, "gpt-x", timeout_s), key, http)


@pytest.fixture(params=["Scripted", "OpenAI", "Route"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[Provider]:
    """Every kind of provider, made to give the same answer."""
    scripted = ScriptedProvider("canned", script.parse(SCRIPT, path="answers"))
    if request.param == "Scripted":
        yield scripted
    elif request.param == "Route":
        yield Route([scripted])
    else:
        async with (
            serving.serving(serving.config("gpt-x", script=SCRIPT)) as served,
            remote(f"{served.url}/v1") as over_http,
        ):
            yield over_http


async def test_a_whole_answer_has_text_reason_and_usage(provider: Provider) -> None:
    found = await provider.complete(ASKED)
    assert (found.message["role"], found.message["content"]) == ("assistant", SAID)
    assert (found.finish_reason, found.usage["completion_tokens"]) == ("stop", 3)


async def test_a_stream_joins_to_the_whole_answer_and_ends_once(provider: Provider) -> None:
    chunks = [chunk async for chunk in provider.stream(ASKED)]
    assert "".join(c.delta.get("content") or "" for c in chunks) == SAID
    assert [c.finish_reason for c in chunks if c.finish_reason] == ["stop"]
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage["completion_tokens"] == 3


async def test_a_stream_may_be_given_up(provider: Provider) -> None:
    stream = provider.stream(ASKED)
    await anext(stream)
    await stream.aclose()
    assert (await provider.complete(ASKED)).message["content"] == SAID


async def complete(handler: Handler, timeout_s: float = 5.0) -> Answer:
    async with upstream(handler) as there, remote(there.url, timeout_s=timeout_s) as provider:
        return await provider.complete(ASKED)


async def stream(handler: Handler, timeout_s: float = 5.0) -> list[Chunk]:
    seen = []
    async with upstream(handler) as there, remote(there.url, timeout_s=timeout_s) as provider:
        async for piece in provider.stream(ASKED):
            seen.append(piece)  # noqa: PERF401  # callers look at what came before an error
    return seen


async def failure(handler: Handler, *, streaming: bool, timeout_s: float = 5.0) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await (stream if streaming else complete)(handler, timeout_s)
    return caught.value


BODY = {"choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}


async def test_the_endpoint_gets_model_messages_options_and_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sesame\n")
    key = KeyFile("remote", tmp_path / "key", origin="file key")
    async with upstream(answer(200, BODY)) as there, remote(there.url, key) as provider:
        await provider.complete(ASKED)
    (request,) = there.requests
    assert request["headers"]["authorization"] == "Bearer sesame"
    assert request["body"] == {
        "model": "gpt-x", "messages": ASKED.messages, "temperature": 0.1,
    }  # fmt: skip


async def test_without_a_configured_key_there_is_no_authorization_header() -> None:
    async with upstream(answer(200, BODY)) as there, remote(there.url) as provider:
        await provider.complete(ASKED)
    assert "authorization" not in there.requests[0]["headers"]


async def test_a_missing_key_asks_nobody(tmp_path: Path) -> None:
    key = KeyFile("remote", tmp_path / "absent", origin="Secret 'keys', key 'openai'")
    async with upstream(answer(200, BODY)) as there, remote(there.url, key) as provider:
        with pytest.raises(ProviderError, match="Secret 'keys', key 'openai'"):
            await provider.complete(ASKED)
    assert there.requests == []


async def test_a_stream_asks_for_usage_and_passes_it_on() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    ending = {"choices": [], "usage": usage}
    handler = events(chunk("hi", usage=None), chunk(None, "stop"), ending)
    async with upstream(handler) as there, remote(there.url) as provider:
        chunks = [piece async for piece in provider.stream(ASKED)]
    assert there.requests[0]["body"]["stream_options"] == {"include_usage": True}
    assert chunks == [Chunk({"content": "hi"}), Chunk({}, "stop", usage)]


async def test_an_answer_without_usage_is_counted() -> None:
    assert (await complete(answer(200, BODY))).usage["total_tokens"] == 2


async def test_tool_calls_are_passed_through() -> None:
    calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    found = await complete(answer(200, body))
    assert (found.message, found.finish_reason) == (message, "tool_calls")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("status", "want"),
    [
        (400, ErrorClass.REFUSED),
        (401, ErrorClass.AUTH),
        (403, ErrorClass.AUTH),
        (404, ErrorClass.BAD_ANSWER),
        (422, ErrorClass.REFUSED),
        (429, ErrorClass.RATE_LIMITED),
        (500, ErrorClass.SERVER_ERROR),
        (402, ErrorClass.QUOTA_EXHAUSTED),
        (408, ErrorClass.TIMEOUT),
        (503, ErrorClass.OVERLOADED),
        (529, ErrorClass.OVERLOADED),
        (307, ErrorClass.BAD_ANSWER),  # never followed: it would take the key elsewhere
    ],
)
async def test_a_status_has_a_class(status: int, want: ErrorClass, *, streaming: bool) -> None:
    handler = answer(status, {"error": {"message": "no"}}, retry_after="7", location="/x")
    found = await failure(handler, streaming=streaming)
    assert (found.error_class, found.retry_after_s) == (want, 7.0)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("status", "error", "want"),
    [
        (429, {"code": "insufficient_quota"}, ErrorClass.QUOTA_EXHAUSTED),
        (400, {"message": "Your credit balance is too low."}, ErrorClass.QUOTA_EXHAUSTED),
        (400, {"code": "context_length_exceeded"}, ErrorClass.CONTEXT_TOO_LONG),
        (400, {"code": "content_filter"}, ErrorClass.CONTENT_POLICY),
        (200, {"type": "overloaded_error"}, ErrorClass.OVERLOADED),
        (200, {"message": "odd"}, ErrorClass.SERVER_ERROR),
    ],
)
async def test_an_error_body_says_more_than_its_status(
    status: int, error: Json, want: ErrorClass, *, streaming: bool
) -> None:
    handler = answer(status, {"error": error})
    if streaming and status == 200:
        handler = events({"error": error})
    assert (await failure(handler, streaming=streaming)).error_class is want


async def test_the_endpoint_s_explanation_of_a_bad_request_is_passed_on() -> None:
    error = {"message": "too many tools", "type": "invalid", "param": "tools", "code": "limit"}
    found = await failure(answer(400, {"error": error}), streaming=False)
    assert found.detail == error


async def test_an_explanation_of_another_shape_is_left_out() -> None:
    assert (await failure(answer(400, ["no"]), streaming=False)).detail is None


@pytest.mark.parametrize(
    "body", ["text", [], {}, {"choices": []}, {"choices": [{"message": "x"}]}, {"choices": [7]}]
)
async def test_what_is_no_chat_completion_is_a_bad_answer(body: Any) -> None:
    found = await failure(answer(200, body), streaming=False)
    assert found.error_class is ErrorClass.BAD_ANSWER


async def test_nobody_listening_is_a_connect_error() -> None:
    async with remote(f"http://127.0.0.1:{ports.free()}") as provider:
        with pytest.raises(ProviderError) as caught:
            await provider.complete(ASKED)
    assert caught.value.error_class is ErrorClass.CONNECT


async def silent(_request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(5)  # far longer than the timeout under test; cancelled with the server


async def hang_up(_request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.close()


async def half_a_body(_request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")


@pytest.mark.parametrize("streaming", [False, True])
async def test_silence_is_a_timeout(*, streaming: bool) -> None:
    found = await failure(silent, streaming=streaming, timeout_s=0.05)
    assert found.error_class is ErrorClass.TIMEOUT


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("handler", [hang_up, half_a_body])
async def test_hanging_up_before_an_answer_is_a_connect_error(
    handler: Handler, *, streaming: bool
) -> None:
    found = await failure(handler, streaming=streaming)
    assert found.error_class in (ErrorClass.CONNECT, ErrorClass.SERVER_ERROR)


async def garbage(_request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    await events(chunk("hi"), done=False)(_request, writer)
    writer.write(b"data: {no json\n\n")


@pytest.mark.parametrize(
    "handler",
    [
        events(chunk("hi"), done=False),
        events(chunk("hi")),  # [DONE] without a finish_reason: cut by something in between
        events(chunk("hi"), {"error": {"message": "overloaded"}}),
        events(chunk("hi"), [1]),
        garbage,
    ],
)
async def test_a_stream_that_breaks_after_its_first_piece_is_broken(handler: Handler) -> None:
    found = await failure(handler, streaming=True)
    assert found.error_class is ErrorClass.BROKEN


@pytest.mark.parametrize(
    ("handler", "want"),
    [
        (events(), ErrorClass.CONNECT),
        (events(done=False), ErrorClass.CONNECT),
        (events({"error": {"message": "overloaded"}}), ErrorClass.SERVER_ERROR),
    ],
)
async def test_a_stream_that_breaks_before_its_first_piece_lets_the_next_provider_answer(
    handler: Handler, want: ErrorClass
) -> None:
    assert (await failure(handler, streaming=True)).error_class is want
    backup = ScriptedProvider("canned", script.parse(SCRIPT, path="answers"))
    async with upstream(handler) as there, remote(there.url) as provider:
        chunks = [piece async for piece in Route([provider, backup]).stream(ASKED)]
    assert "".join(c.delta.get("content") or "" for c in chunks) == SAID


async def test_a_stream_that_ends_with_a_reason_needs_no_done() -> None:
    chunks = await stream(events(chunk("hi"), chunk(None, "stop"), done=False))
    assert [c.finish_reason for c in chunks] == [None, "stop"]


async def test_an_endless_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_runtime.providers.endpoint.MAX_ANSWER_BYTES", 50)
    found = await failure(answer(200, BODY), streaming=False)
    assert found.error_class is ErrorClass.BAD_ANSWER
    found = await failure(events(chunk("x" * 50)), streaming=True)
    assert found.error_class is ErrorClass.BAD_ANSWER


ODD_DELTAS: list[Any] = [
    "text",
    7,
    {"content": 7},
    {"tool_calls": 7},
    {"tool_calls": ["f"]},
    {"tool_calls": [{"index": []}]},
    {"tool_calls": [{"index": "a"}]},
    {"tool_calls": [{"id": {}}]},
    {"tool_calls": [{"function": "f"}]},
    {"tool_calls": [{"function": {"name": 7}}]},
]


@pytest.mark.parametrize("delta", ODD_DELTAS)
async def test_a_delta_of_another_shape_is_no_chunk(delta: Any) -> None:
    odd = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    found = await failure(events(odd, chunk(None, "stop")), streaming=True)
    assert found.error_class is ErrorClass.BAD_ANSWER


async def test_an_error_of_null_is_no_error() -> None:
    chunks = await stream(events(chunk("hi", error=None), chunk(None, "stop", error=None)))
    assert [c.delta for c in chunks] == [{"content": "hi"}, {}]


async def test_an_event_without_choices_is_left_out() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    chunks = await stream(events(chunk("hi"), chunk(None, "stop"), {"usage": usage}))
    assert chunks == [Chunk({"content": "hi"}), Chunk({}, "stop", usage)]


async def test_a_message_without_a_role_is_the_assistant_s() -> None:
    found = await complete(answer(200, {"choices": [{"message": {"content": "hi"}}]}))
    assert found.message == {"role": "assistant", "content": "hi"}


async def test_a_kept_connection_that_the_endpoint_has_just_closed_costs_nobody_an_answer() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"hello")
        body = b'{"choices": [{"message": {"content": "hi"}}]}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await reader.read(1)  # the second request arrives, and this is all it gets
        writer.close()

    listener = await asyncio.start_server(once, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, remote(f"http://127.0.0.1:{port}") as provider:
        for _ in range(3):
            assert (await provider.complete(ASKED)).message["content"] == "hi"
