"""Requests, errors, slots, logs: the HTTP side without a socket."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from agent_runtime.app import chat_request, errors, limits
from agent_runtime.app.admission import Admission, Interruption, Slot
from agent_runtime.app.application import Application
from agent_runtime.app.asgi import Message, Reply, Request
from agent_runtime.app.errors import ApiError
from agent_runtime.memory.base import StoreFull, StoreUnavailable
from agent_runtime.memory.sessions import SessionBusy
from agent_runtime.observability.logs import JsonFormatter
from agent_runtime.providers.base import ErrorClass, ProviderError

USER = {"role": "user", "content": "hello"}


def refusal(document: Any) -> ApiError:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(ApiError) as caught:
        chat_request.parse(body)
    assert caught.value.status == 400
    return caught.value


def test_parameters_that_are_not_ours_are_passed_on() -> None:
    body = {"model": "front", "messages": [USER], "temperature": 0.5, "tools": [], "new": {"a": 1}}
    asked = chat_request.parse(json.dumps(body).encode())
    assert asked.options == {"temperature": 0.5, "tools": [], "new": {"a": 1}}
    assert (asked.model, asked.stream, asked.include_usage) == ("front", False, False)


def test_an_empty_model_is_no_model() -> None:
    assert chat_request.parse(json.dumps({"model": "", "messages": [USER]}).encode()).model is None


@pytest.mark.parametrize(
    ("document", "param"),
    [
        (b"{", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
        ([], None),
        ({}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [USER, {"role": "boss", "content": ""}]}, "messages[1].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content"),
        ({"messages": [USER], "model": 1}, "model"),
        ({"messages": [USER], "stream": "yes"}, "stream"),
        ({"messages": [USER], "stream_options": {}}, "stream_options"),
        ({"messages": [USER], "stream": True, "stream_options": 1}, "stream_options"),
        ({"messages": [USER], "n": 2}, "n"),
    ],
)
def test_a_wrong_request_is_told_which_parameter(document: Any, param: str | None) -> None:
    assert refusal(document).param == param


def test_every_error_body_has_all_four_keys() -> None:
    body = json.loads(errors.internal().body())
    assert set(body["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("exc", "status", "code"),
    [
        (ProviderError(ErrorClass.CONNECT, "p", "x"), 502, "provider_unreachable"),
        (ProviderError(ErrorClass.TIMEOUT, "p", "x"), 504, "provider_timeout"),
        (ProviderError(ErrorClass.RATE_LIMITED, "p", "x"), 429, "rate_limit_exceeded"),
        (ProviderError(ErrorClass.SERVER_ERROR, "p", "x"), 502, "provider_error"),
        (ProviderError(ErrorClass.KEY_MISSING, "p", "x"), 503, "provider_key_missing"),
        (ProviderError(ErrorClass.AUTH, "p", "x"), 502, "provider_key_refused"),
        (ProviderError(ErrorClass.REFUSED, "p", "x"), 400, "provider_refused"),
        (ProviderError(ErrorClass.BAD_ANSWER, "p", "x"), 502, "provider_bad_answer"),
        (ProviderError(ErrorClass.BROKEN, "p", "x"), 502, "provider_broke_off"),
        (SessionBusy(), 409, "session_busy"),
        (StoreFull("too many sessions"), 503, "session_store_full"),
        (StoreUnavailable("disk"), 503, "session_store_unavailable"),
    ],
)
def test_every_foreseen_failure_has_a_status_and_a_code(
    exc: ProviderError | SessionBusy | StoreUnavailable, status: int, code: str
) -> None:
    error = errors.of(exc)
    assert (error.status, error.code) == (status, code)
    if status in (429, 503):
        assert "retry-after" in error.headers


class Wire:
    """Both ends of an ASGI exchange."""

    def __init__(self, *parts: Message) -> None:
        self.parts = list(parts)
        self.sent: list[Message] = []
        self.closed = asyncio.Event()

    async def receive(self) -> Message:
        if self.parts:
            return self.parts.pop(0)
        await self.closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def request(self, **headers: str) -> Request:
        pairs = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
        return Request({"method": "POST", "path": "/", "headers": pairs}, self.receive)


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_comes_in_parts() -> None:
    wire = Wire(part(b"a", more=True), part(b"b", more=True), part(b"c"))
    sizes: list[int] = []
    assert await wire.request().body(sizes.append) == b"abc"
    assert sizes == [1, 1, 1]


async def test_a_body_is_bounded_whether_announced_or_not() -> None:
    too_much = b"x" * (limits.MAX_BODY_BYTES // 2 + 1)
    announced = Wire().request(content_length=str(limits.MAX_BODY_BYTES + 1))
    silent = Wire(part(too_much, more=True), part(too_much)).request()
    for request in (announced, silent):
        with pytest.raises(ApiError) as caught:
            await request.body(lambda _size: None)
        assert caught.value.status == 413


async def test_the_memory_for_bodies_is_bounded_and_given_back() -> None:
    admission, wire = Admission(), Wire()
    size = limits.MAX_BODY_BYTES_IN_FLIGHT
    for _ in range(2):
        async with admission.slot(wire.receive, Reply(wire.send, close=False)) as slot:
            slot.hold(size)
            async with admission.slot(wire.receive, Reply(wire.send, close=False)) as other:
                with pytest.raises(ApiError):
                    other.hold(1)


async def held(slot: Slot, event: Callable[[], None]) -> None:
    """Hold a slot for ever; `event` happens meanwhile."""
    async with slot:
        event()
        await asyncio.Event().wait()


async def test_a_request_whose_client_has_gone_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DISCONNECT_PATIENCE_SECONDS", 0.0)
    admission, wire = Admission(), Wire()
    slot = admission.slot(wire.receive, Reply(wire.send, close=False))
    wire.closed.set()
    with pytest.raises(TimeoutError):
        await held(slot, slot.received)
    assert slot.interruption is Interruption.CLIENT_GONE


async def test_shutdown_ends_a_request() -> None:
    admission, wire = Admission(), Wire()
    slot = admission.slot(wire.receive, Reply(wire.send, close=False))
    with pytest.raises(TimeoutError):
        await held(slot, admission.cut_off)
    assert slot.interruption is Interruption.SHUTTING_DOWN
    with pytest.raises(ApiError) as caught:  # and who comes too late is told at once
        admission.slot(wire.receive, Reply(wire.send, close=False))
    assert caught.value.code == "shutting_down"


async def test_an_error_after_the_first_byte_is_the_last_frame_of_the_stream() -> None:
    wire = Wire()
    reply = Reply(wire.send, close=False)
    await reply.begin_stream()
    await reply.fail(errors.shutting_down())
    frame = wire.sent[-1]
    assert frame["body"].startswith(b'data: {"error":{"message":"the agent is shutting down')
    assert frame["body"].endswith(b"\n\n")
    assert not frame.get("more_body")
    assert reply.status == 200


async def test_a_draining_server_asks_for_a_new_connection() -> None:
    wire = Wire()
    await Reply(wire.send, close=True).json(200, {})
    assert (b"connection", b"close") in wire.sent[0]["headers"]


@pytest.mark.parametrize(("said", "told"), [(None, b"1"), (0.0, b"1"), (2.2, b"3")])
async def test_a_client_is_told_whole_seconds_until_it_may_ask_again(
    said: float | None, told: bytes
) -> None:
    wire = Wire()
    error = ProviderError(ErrorClass.RATE_LIMITED, "p", "x", retry_after_s=said)
    await Reply(wire.send, close=False).fail(errors.of_provider(error))
    assert (b"retry-after", told) in wire.sent[0]["headers"]


@pytest.mark.parametrize("error_class", list(ErrorClass))
def test_every_class_of_failure_is_told_to_the_client(error_class: ErrorClass) -> None:
    told = errors.of_provider(ProviderError(error_class, "p", "provider 'p' failed"))
    assert told.status in (400, 429, 502, 503, 504)
    assert told.code
    assert told.message == "provider 'p' failed"


def test_a_log_line_is_json_and_never_quotes_an_exception() -> None:
    with pytest.raises(ValueError, match="a secret") as caught:
        int("a secret")
    failure = (caught.type, caught.value, caught.tb)
    record = logging.LogRecord("n", logging.ERROR, "f", 1, "failed", (), failure)
    record.provider = "openai"
    text = JsonFormatter().format(record)
    line = json.loads(text)
    assert (line["message"], line["provider"], line["level"]) == ("failed", "openai", "error")
    assert line["exception"].startswith("ValueError at test_http_parts.py:")
    assert "a secret" not in text


async def test_a_fault_of_ours_is_a_500_and_one_log_line_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def faulty(_request: Request, _reply: Reply) -> None:
        raise KeyError("a secret")

    wire, scope = Wire(), {"type": "http", "method": "GET", "path": "/x", "headers": []}
    app = Application({("GET", "/x"): faulty}, Admission())
    await app(scope, wire.receive, wire.send)
    assert wire.sent[0]["status"] == 500
    assert json.loads(wire.sent[1]["body"])["error"]["code"] == "internal_error"
    (record,) = caplog.records
    assert "a secret" not in JsonFormatter().format(record)
    assert '"exception":"KeyError at' in JsonFormatter().format(record)
