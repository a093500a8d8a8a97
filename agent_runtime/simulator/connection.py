"""HTTP/1.1 over one client connection, written by hand: every byte and every way to end is ours.

A server's framework would repair exactly what this one has to break.
"""

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import httptools

from agent_runtime.simulator.counts import Ticket
from agent_runtime.simulator.delivery import Delivery, End, whole
from agent_runtime.simulator.exchange import Headers, Request

MAX_BODY_BYTES = 32 << 20  # Anthropic's limit
MAX_HEAD_BYTES = 65_536
MAX_PIPELINED = 64  # requests that wait behind one answer; who sends more is let go
# an answer on its way when its connection is reset may get lost; the peer has read it by then
RESET_GRACE_SECONDS = 0.02

_NO_LINGER = struct.pack("ii", 1, 0)  # closing resets the connection instead of ending it


Handler = Callable[[Request], Delivery]


class Connections:
    """The connections that are open now, with the handler that answers them."""

    def __init__(self, handle: Handler, answered: Callable[[int], None]) -> None:
        self.handle = handle
        self.answered = answered
        self.open: set[Connection] = set()

    def make(self) -> "Connection":
        """Return the protocol for a new connection."""
        return Connection(self)

    def abort(self) -> None:
        """Cut all of them off."""
        for connection in list(self.open):
            connection.abort()


class Connection(asyncio.Protocol):
    """One client; its requests are answered one after another."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._request = Request()
        self._parts: list[bytes] = []
        self._size = 0
        self._upgrade = False
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._ticket: Ticket | None = None  # of the answer that the task sends
        self._sent = 0  # its pieces so far
        self._writable = asyncio.Event()
        self._writable.set()

    # ---- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection in."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what is still being sent."""
        self._connections.open.discard(self)
        self._waiting.clear()
        if self._task:
            self._task.cancel()
            self._give_up()  # a task that has not begun would never do so

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what is no HTTP is told so."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, b"upgrades and CONNECT are not offered here")
        except httptools.HttpParserError:
            self._refuse(400, b"this is not HTTP/1.1, or it is too large")

    def pause_writing(self) -> None:
        """Stop sending to a client that does not read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on sending."""
        self._writable.set()

    # ---- the parser's side

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._request, self._parts, self._size = Request(), [], 0

    def on_url(self, url: bytes) -> None:
        """Take in the URL."""
        self._count(len(url), MAX_HEAD_BYTES)
        self._request.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in one header; of a repeated one the last counts."""
        self._count(len(name) + len(value), MAX_HEAD_BYTES)
        self._request.headers[name.lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Ask for the body of a client that waits to be asked."""
        self._size = 0
        self._upgrade = self._parser.should_upgrade()
        if self._request.headers.get(b"expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take in a part of the body."""
        self._count(len(body), MAX_BODY_BYTES)
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Answer, or let the request wait for the answer before."""
        if self._upgrade:
            return  # the parser stops here, and `data_received` says why
        request = self._request
        request.method = self._parser.get_method().decode("latin-1")
        request.path, _, request.query = request.path.partition("?")
        request.keep_alive = self._parser.should_keep_alive()
        request.body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        if self._task is None:
            self._answer(request)
        elif len(self._waiting) < MAX_PIPELINED:
            self._waiting.append(request)
        else:
            self.abort()

    # ---- answers

    def abort(self) -> None:
        """Close at once; what has not been sent is lost."""
        self._transport.abort()

    def _count(self, size: int, limit: int) -> None:
        self._size += size
        if self._size > limit:
            raise ValueError(limit)  # the parser wraps it

    def _answer(self, request: Request) -> None:
        delivery = self._connections.handle(request)
        if delivery.is_quick:
            self._transport.write(_head(delivery, close=not request.keep_alive) + delivery.opening)
            self._connections.answered(delivery.status)
            _complete(delivery)
            if not request.keep_alive:
                self._transport.close()
            return
        self._ticket, self._sent = delivery.ticket, 0
        sending = self._send(delivery, request)
        self._task = asyncio.get_running_loop().create_task(sending)

    async def _send(self, delivery: Delivery, request: Request) -> None:
        try:
            if delivery.first_s:
                await asyncio.sleep(delivery.first_s)
            if delivery.send_head:
                await self._open(delivery, close=not request.keep_alive)
                for piece in delivery.pieces:
                    # even without a pause: a long answer must not keep the loop to itself
                    await asyncio.sleep(delivery.piece_s)
                    await self._writable.wait()
                    self._write(delivery, piece)
                    self._sent += 1
                self._write(delivery, delivery.closing)
            await self._end(delivery)
        finally:
            self._give_up()
        self._task = None
        if not request.keep_alive or self._transport.is_closing():
            self._transport.close()
            return
        while self._waiting and self._task is None:
            self._answer(self._waiting.popleft())

    def _give_up(self) -> None:
        if self._ticket:  # no effect after a good end
            self._ticket.broken(self._sent)

    async def _open(self, delivery: Delivery, *, close: bool) -> None:
        head = _head(delivery, close=close)
        if delivery.head_byte_s:
            for at in range(len(head)):
                self._transport.write(head[at : at + 1])
                await asyncio.sleep(delivery.head_byte_s)
        else:
            self._transport.write(head)
        self._connections.answered(delivery.status)
        self._write(delivery, delivery.opening)

    def _write(self, delivery: Delivery, data: bytes) -> None:
        if not data:  # an empty chunk would end the answer
            return
        if delivery.length is None:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self._transport.write(data)

    async def _end(self, delivery: Delivery) -> None:
        match delivery.end:
            case End.COMPLETE:
                if delivery.length is None:
                    self._transport.write(b"0\r\n\r\n")
                _complete(delivery, self._sent)
            case End.CLOSE:
                self._transport.close()
            case End.HANG:
                await asyncio.Event().wait()  # `connection_lost` cancels it
            case End.RESET:
                if delivery.send_head:
                    await asyncio.sleep(RESET_GRACE_SECONDS)
                self._reset()

    def _reset(self) -> None:
        # the transport's own socket cannot be told; a duplicate shares its options
        own = self._transport.get_extra_info("socket")
        with socket.socket(fileno=os.dup(own.fileno())) as twin:
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    def _refuse(self, status: int, reason: bytes) -> None:
        if self._transport.is_closing():
            return
        delivery = whole(status, reason + b"\n", content_type=b"text/plain")
        self._transport.write(_head(delivery, close=True) + delivery.opening)
        self._transport.close()


def _complete(delivery: Delivery, sent: int = 0) -> None:
    ticket = delivery.ticket
    if ticket is None:
        return
    if delivery.usage is not None:
        ticket.completed(delivery.usage)
    elif delivery.broken:
        ticket.broken(sent)
    else:
        ticket.refused()


def _head(delivery: Delivery, *, close: bool) -> bytes:
    headers: Headers = [(b"content-type", delivery.content_type), *delivery.headers]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    if delivery.length is None:
        lines += b"transfer-encoding: chunked\r\n"
    else:
        lines += b"content-length: %d\r\n" % delivery.length
    if close:
        lines += b"connection: close\r\n"
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (delivery.status, _reason(delivery.status), lines)


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:  # 529 and other inventions
        return b"Unassigned"
