"""One connection to an endpoint: requests go out, one at a time, and answers come in pieces.

Only what a model's API needs of HTTP/1.1. What comes is bounded: heads by their size, bodies by
not reading on while nobody takes what has come.
"""

import asyncio
from typing import Protocol, cast

import httptools

MAX_HEAD_BYTES = 65_536  # of one answer, interim answers with it
HIGH_WATER_BYTES = 262_144  # a body that nobody takes is read so far ahead
_INTERIM = range(100, 200)


class Unreachable(Exception):  # the condition is the name
    """There is no connection to the endpoint."""


class Lost(Exception):  # the condition is the name
    """The connection, or the sense of what came over it, was lost before the answer was complete.

    `unheard`: not one byte of the answer had come.
    """

    def __init__(self, *, unheard: bool) -> None:
        super().__init__()
        self.unheard = unheard


class Response:
    """An answer on its way."""

    __slots__ = (
        "_connection", "_error", "_parts", "_size", "_waiter", "complete", "headers", "heard",
        "status",
    )  # fmt: skip

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._parts: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: Lost | None = None
        self.status = 0  # until the head is complete
        self.headers: dict[str, str] = {}
        self.heard = False
        self.complete = False

    async def head(self) -> None:
        """Wait until status and headers are known; raise `Lost`."""
        while not self.status:
            await self._more()

    async def piece(self) -> bytes:
        """Return what has come of the body since the last time, b"" at its end; raise `Lost`."""
        while not self._parts:
            if self.complete:
                return b""
            await self._more()
        found = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self._size = [], 0
        self._connection.go_on()
        return found

    def release(self) -> None:
        """Be done with the answer: the connection is kept if it is fit for another one."""
        self._connection.release()

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # ---- the connection's side

    def add(self, body: bytes) -> bool:
        """Take in a part of the body; return whether more should wait."""
        self._parts.append(body)
        self._size += len(body)
        return self._size > HIGH_WATER_BYTES

    def fail(self) -> None:
        """Take note that nothing more will come."""
        self._error = Lost(unheard=not self.heard)

    def wake(self) -> None:
        """Wake who waits for more."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Owner(Protocol):
    """Who keeps idle connections."""

    def keep(self, connection: "Connection") -> None:
        """Take back a connection that is fit for another request."""
        ...

    def forget(self, connection: "Connection") -> None:
        """Forget a connection that has ended."""
        ...


class Connection(asyncio.Protocol):
    """Made by `loop.create_connection`, for one endpoint."""

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner) -> None:
        self.loop = loop
        self.idle_since = 0.0
        self._owner = owner
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._response: Response | None = None
        self._head_bytes = 0
        self._is_interim = False
        self._is_framed = False
        """Whether the body's end is told; otherwise it ends with the connection."""
        self._is_paused = False
        self._is_spoilt = False
        """Whether it must not be used again."""

    @property
    def is_usable(self) -> bool:
        """Return whether another request may go out."""
        return not (self._is_spoilt or self._transport.is_closing())

    def ask(self, request: bytes) -> Response:
        """Send a request; there is none on its way."""
        self._head_bytes, self._is_framed = 0, False
        response = self._response = Response(self)
        self._transport.write(request)
        return response

    def release(self) -> None:
        """Forget the answer, and keep the connection if nothing more of it can come."""
        response, self._response = self._response, None
        if response is not None and response.complete and self.is_usable:
            self._owner.keep(self)
        else:
            self.abort()

    def abort(self) -> None:
        """End the connection at once."""
        self._is_spoilt = True
        self._transport.abort()

    def go_on(self) -> None:
        """Read on."""
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    # ---- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what comes unasked ends the connection."""
        response = self._response
        if response is None:
            self.abort()
            return
        response.heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._spoil()
        response.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits; a body without a told end has ended now."""
        self._is_spoilt = True
        self._owner.forget(self)
        response = self._response
        if response is None or response.complete:
            return
        if exc is None and response.status and not self._is_framed:
            response.complete = True
        else:
            response.fail()
        response.wake()

    # ---- the parser's side

    def on_message_begin(self) -> None:
        """Begin an answer; nobody asked for a second one."""
        if self._response is None or self._response.complete:
            self._is_spoilt = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in one header; of a repeated one the last counts, and none of a trailer."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError(MAX_HEAD_BYTES)  # the parser wraps it
        if self._response is not None and not (self._is_spoilt or self._response.status):
            known = name.decode("latin-1").lower()
            self._response.headers[known] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Tell the status, unless this is only an interim answer."""
        status = self._parser.get_status_code()
        self._is_interim = status in _INTERIM
        if self._response is None or self._is_spoilt:
            return
        if self._is_interim:
            self._response.headers.clear()
            return
        headers = self._response.headers
        self._is_framed = "content-length" in headers or "transfer-encoding" in headers
        self._response.status = status

    def on_body(self, body: bytes) -> None:
        """Hand out a part of the body."""
        if self._response is None or self._is_spoilt:
            return
        if self._response.add(body) and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """Take note that the answer is complete."""
        if self._is_interim or self._response is None or self._is_spoilt:
            return
        self._response.complete = True
        if not self._parser.should_keep_alive():
            self._is_spoilt = True

    def _spoil(self) -> None:
        response = self._response
        if response is not None and not response.complete:
            response.fail()
        self.abort()
