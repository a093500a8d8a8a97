"""uvicorn's HTTP protocol with the bounds it lacks: head size, head time, connections.

Refusals at this level have OpenAI's shape too.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agent_runtime.app import limits
from agent_runtime.app.errors import ApiError

_REASONS = {400: b"Bad Request", 431: b"Request Header Fields Too Large"}


class _HeadTooLarge(Exception):  # the condition is the name
    """Raised inside the parser, which wraps it."""


class BoundedProtocol(HttpToolsProtocol):
    """One client connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # uvicorn's business
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._head_open = True
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or close it if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > limits.MAX_CONNECTIONS:
            transport.close()
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a head that is not complete yet is on the clock."""
        super().data_received(data)
        if self._head_open and self._head_timer is None and self.parser is not None:
            self._arm()

    def on_message_begin(self) -> None:
        """Begin to count a request's head."""
        super().on_message_begin()
        self._head_open = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count and take in the URL."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count and take in one header."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the clock: the rest of the request has bounds of its own."""
        self._head_open = False
        self._disarm()
        try:
            super().on_headers_complete()
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError) as exc:
            raise httptools.HttpParserError("invalid URL") from exc

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, and close."""
        if self._head_bytes > limits.MAX_HEAD_BYTES:
            text = f"the request's head is larger than {limits.MAX_HEAD_BYTES} bytes"
            self._refuse(ApiError(431, text, code="headers_too_large"))
        else:
            self._refuse(ApiError(400, "this is not a valid HTTP/1.1 request"))

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > limits.MAX_HEAD_BYTES:
            raise _HeadTooLarge

    def _refuse(self, error: ApiError) -> None:
        body = error.body()
        head = b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\n" % (
            error.status,
            _REASONS[error.status],
        )
        head += b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(head + body)
        self.transport.close()

    def _arm(self) -> None:
        self._head_timer = self.loop.call_later(limits.HEAD_SECONDS, self._too_slow)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
