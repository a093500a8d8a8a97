"""Requests and replies over bare ASGI: no framework, nothing more than this runtime needs."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from agent_runtime.app import limits
from agent_runtime.app.errors import ApiError
from agent_runtime.guard.principal import ANONYMOUS, Principal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")
_STREAM: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),  # or a proxy would hold the tokens back
]


# Of every answer: it is data for one client, never a page, and nobody keeps a copy on the way.
SECURITY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]


# What our own server offers beside ASGI, by these keys of the scope: see `cycle.Cycle`.
WHOLE = "agentsystem.whole"
ANSWER = "agentsystem.answer"
Answer = Callable[[int, Headers, bytes], Awaitable[None]]


class ClientGone(Exception):  # the condition is the name
    """The client has closed its connection; nobody is left to answer."""


class Request:
    """One HTTP request."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.receive = receive
        self.principal: Principal = ANONYMOUS  # until somebody finds out who asks
        self.answer: Answer | None = scope.get(ANSWER)
        self._whole: Callable[[], bytes | None] = scope.get(WHOLE, lambda: None)
        self._headers = _by_name(scope["headers"])
        self.id = ""
        """What it is called in logs, traces and its answer, once that is decided."""
        self.id_is_ours = False
        """Whether the id was made here or by a sibling, and not by a caller."""
        self.is_vouched_for = False
        """Whether a sibling has proved that it let the request in."""
        self.when_agent_known: Callable[[str], Awaitable[None]] | None = None
        """To be called with the name of the agent that is asked; may refuse the request."""

    def header(self, name: bytes) -> str | None:
        """Return a header's value; a repeated one is joined by commas, as HTTP says."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self, hold: Callable[[int], None]) -> bytes:
        """Return the whole body; raise `ApiError` if it is too large or too slow.

        `hold` is told of each part's size as it comes, and may refuse it.
        """
        if int(self.header(b"content-length") or 0) > limits.MAX_BODY_BYTES:
            raise _too_large()
        if (whole := self._whole()) is not None:  # as nearly always: nothing to wait for
            return self._held(whole, hold)
        try:
            async with asyncio.timeout(limits.BODY_SECONDS):
                return await self._parts(hold)
        except TimeoutError as exc:
            raise ApiError(408, "the request's body did not arrive in time") from exc

    async def _parts(self, hold: Callable[[int], None]) -> bytes:
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part = message["body"]
            size += len(part)
            if size > limits.MAX_BODY_BYTES:
                raise _too_large()
            hold(len(part))
            parts.append(part)
            more = message.get("more_body", False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @staticmethod
    def _held(whole: bytes, hold: Callable[[int], None]) -> bytes:
        if len(whole) > limits.MAX_BODY_BYTES:
            raise _too_large()
        hold(len(whole))
        return whole


def _by_name(headers: Headers) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        found[name] = b"%b,%b" % (found[name], value) if name in found else value
    return found


class Reply:
    """The one answer to a request; knows whether it has begun and how it ended."""

    def __init__(self, send: Send, *, close: bool, answer: Answer | None = None) -> None:
        """`close` asks the client to open a new connection for its next request.

        `answer` is a shorter way for whole answers, where the server has one.
        """
        self._send = send
        self._answer = answer or self._by_messages
        self._common: Headers = [*SECURITY, (b"connection", b"close")] if close else SECURITY
        self._id: Headers = []
        self._told: Headers = []
        self.limited: Headers = []
        """What is left of the caller's limits: headers of every answer, whoever gives it."""
        self._sent = 0  # events of the stream
        self.frame: Callable[[ApiError, int], bytes] = lambda error, _sent: error.frame()
        """Writes the last event of a stream that failed after so many events."""
        self.status: int | None = None
        self.failed = False
        self.ended = False

    def identify(self, request_id: str) -> None:
        """Give the reply the request's id, for people to quote."""
        self._id = [(b"x-request-id", request_id.encode())]

    def tell(self, headers: Headers) -> None:
        """Add headers to those that the answer will have, instead of those told before."""
        self._told = headers

    def _before(self) -> Headers:
        return [*self._common, *self._id, *self.limited, *self._told]

    async def body(self, status: int, body: bytes, headers: Headers) -> None:
        """Answer with a whole body."""
        self.status, self.ended = status, True
        length = (b"content-length", b"%d" % len(body))
        head = [*self._before(), length, *headers]
        await self._answer(status, head, body)

    async def _by_messages(self, status: int, headers: Headers, body: bytes) -> None:
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    async def json(self, status: int, value: object) -> None:
        """Answer with JSON."""
        await self.body(status, orjson.dumps(value), [_JSON])

    async def json_bytes(self, body: bytes) -> None:
        """Answer 200 with JSON that has been written already."""
        await self.body(200, body, [_JSON])

    async def begin_stream(self) -> None:
        """Begin a stream of server-sent events."""
        self.status = 200
        headers = [*self._before(), *_STREAM]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def events(self, events: bytes) -> None:
        """Send complete events of a stream."""
        self._sent += events.count(b"\n\n")
        await self._send({"type": "http.response.body", "body": events, "more_body": True})

    async def end_stream(self, events: bytes = b"") -> None:
        """Send the last events of a stream and end it."""
        self.ended = True
        await self._send({"type": "http.response.body", "body": events})

    async def fail(self, error: ApiError) -> None:
        """Tell the client: as the answer, or as the last frame of a stream that has begun."""
        self.failed = True
        if self.ended:
            return
        if self.status is not None:
            await self.end_stream(self.frame(error, self._sent))
            return
        headers = [(k.encode(), _header_value(v)) for k, v in error.headers.items()]
        await self.body(error.status, error.body(), [_JSON, *headers])


def _header_value(text: str) -> bytes:
    # a provider's Retry-After is not ours to trust
    return text.encode("ascii", errors="replace")[:100] if text.isprintable() else b"1"


def _too_large() -> ApiError:
    text = f"the request's body is larger than {limits.MAX_BODY_BYTES} bytes"
    return ApiError(413, text, code="request_too_large")
