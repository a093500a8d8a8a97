"""uvicorn's HTTP protocol with the bounds it lacks: head size, head time, stalls, connections.

Refusals at this level have OpenAI's shape too.
"""

import asyncio
import urllib.parse
from typing import TYPE_CHECKING, Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agent_runtime.app import limits
from agent_runtime.app.arrival import new_request_id
from agent_runtime.app.asgi import ANSWER, SECURITY, WHOLE
from agent_runtime.app.cycle import Cycle
from agent_runtime.app.errors import ApiError

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope

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
        self._linger_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._offered = False

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
        self._end_stall()
        self._end_linger()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a head that is not complete yet is on the clock."""
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.send_400_response("")
        if self._head_open and self._head_timer is None and self.parser is not None:
            self._arm()

    def on_message_begin(self) -> None:
        """Begin to count a request's head."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._head_open = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count and take in the URL."""
        self._count(len(url))
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count and take in one header."""
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > limits.MAX_HEAD_BYTES:
            raise _HeadTooLarge
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Stop the clock: the rest of the request has bounds of its own."""
        self._head_open = False
        self._disarm()
        offers = any(name == b"upgrade" for name, _ in self.headers)
        self._offered = offers and self.parser.should_upgrade()
        if self._offered:
            return  # the parser stops here; `_feed` goes on without the offer
        try:
            self._begin()
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError) as exc:
            raise httptools.HttpParserError("invalid URL") from exc

    def on_message_complete(self) -> None:
        """Take in the end of a request, unless its head is to be read again."""
        if not self._offered:
            self._end_linger()
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request; what is left of this one is not waited for without end."""
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._end_linger()
            self._linger_timer = self.loop.call_later(limits.LINGER_SECONDS, self._too_slow)

    def pause_writing(self) -> None:
        """Stop writing, and see whether the client goes on reading."""
        super().pause_writing()
        self._watch_stall()

    def resume_writing(self) -> None:
        """Go on writing."""
        self._end_stall()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, and close."""
        if self._head_bytes > limits.MAX_HEAD_BYTES:
            text = f"the request's head is larger than {limits.MAX_HEAD_BYTES} bytes"
            self._refuse(ApiError(431, text, code="headers_too_large"))
        else:
            self._refuse(ApiError(400, "this is not a valid HTTP/1.1 request"))

    def _begin(self) -> None:
        """Begin a request as uvicorn does, with a cycle of our own; the scope is what we read."""
        path = httptools.parse_url(self.url).path.decode("ascii")
        scope: dict[str, Any] = {
            "type": "http",
            "method": self.parser.get_method().decode("ascii"),
            "path": urllib.parse.unquote(path) if "%" in path else path,
            "headers": self.headers,
        }
        cycle = Cycle(
            cast("HTTPScope", scope),
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        scope[WHOLE], scope[ANSWER] = cycle.whole, cycle.answer
        before, self.cycle = self.cycle, cycle
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as exc:
                data = self._without_offer() + data[exc.args[0] :]
            else:
                return

    def _without_offer(self) -> bytes:
        # The parser gives up HTTP/1.1 after an offer to upgrade. A server may ignore the offer, and
        # Java's client makes it with each request: the head is read again without it.
        if not self._offered:
            raise httptools.HttpParserError("CONNECT")
        kept = [(name, value) for name, value in self.headers if name != b"upgrade"]
        head = b"%b %b HTTP/1.1\r\n" % (self.parser.get_method(), self.url)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        return head + b"".join(b"%b: %b\r\n" % header for header in kept) + b"\r\n"

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
        head += b"".join(b"%b: %b\r\n" % header for header in SECURITY)
        head += b"x-request-id: %b\r\n" % new_request_id().encode()
        head += b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(head + body)
        self.transport.close()

    def _arm(self) -> None:
        self._head_timer = self.loop.call_later(limits.HEAD_SECONDS, self._too_slow)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _watch_stall(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(limits.STALLED_SECONDS, self._stalled, unread)

    def _end_stall(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _stalled(self, unread: int) -> None:
        if self.transport.get_write_buffer_size() < unread:  # slow, but reading
            self._watch_stall()
        else:
            self.transport.abort()  # to close would wait for the client

    def _end_linger(self) -> None:
        if self._linger_timer is not None:
            self._linger_timer.cancel()
            self._linger_timer = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
