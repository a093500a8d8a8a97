"""The connections to model endpoints: opened as needed, kept for a while, never shared.

Why not a client library: the one that we used took a third of what a proxied request cost the
process, for redirects, cookies, proxies and compression that are all off here (ADR 0015). There is
no bound of its own: who asks holds one of the process's slots.
"""

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass

import aiohappyeyeballs
from yarl import URL

from agent_runtime.providers.exchange import Connection, Lost, Response, Unreachable

IDLE_SECONDS = 15.0  # below what load balancers allow an idle connection, mostly 60 s
MAX_IDLE = 1024  # kept for each endpoint: as many as requests that a process answers at a time
STAGGER_SECONDS = 0.25  # before the next address of a name is tried beside the one before
STALE_SECONDS = 1.0  # by then a connection that the endpoint had closed before has told us


@dataclass(frozen=True, slots=True)
class Place:
    """Where connections lead."""

    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes: the connection's other end, and the head's first lines."""

    place: Place
    head: bytes


def address_of(url: str) -> Address:
    """Return the address of a URL that is asked with POST."""
    parts = URL(url)
    host, port, tls = parts.raw_host, parts.port, parts.scheme == "https"
    if not host or port is None:
        raise ValueError("not an absolute URL of http or https")
    lines = f"POST {parts.raw_path_qs} HTTP/1.1\r\nhost: {parts.host_port_subcomponent}\r\n"
    return Address(Place(host, port, tls), lines.encode("ascii"))


class Connections:
    """Those of a process; `aclose` ends what is kept."""

    def __init__(self) -> None:
        self._kept: dict[Place, _Kept] = {}
        self._tls: ssl.SSLContext | None = None

    async def ask(self, place: Place, request: bytes, *, connect_s: float) -> Response:
        """Send a request and return its answer, the head of which is there.

        Raises `Unreachable` and `Lost`. A kept connection that turns out to have been closed is
        replaced by a new one: once, at once, and only if not a byte of an answer was heard.
        """
        kept = self._kept.get(place) or self._kept.setdefault(place, _Kept())
        if (connection := kept.take()) is not None:
            asked_at = connection.loop.time()
            try:
                return await _answered(connection, request)
            except Lost as exc:
                if not exc.unheard or connection.loop.time() - asked_at > STALE_SECONDS:
                    raise
        return await _answered(await self._open(place, kept, connect_s), request)

    async def aclose(self) -> None:
        """End the connections that are kept."""
        for kept in self._kept.values():
            kept.close()
        await asyncio.sleep(0)  # transports end in the loop's next turn

    async def _open(self, place: Place, kept: "_Kept", connect_s: float) -> Connection:
        try:
            async with asyncio.timeout(connect_s):
                return await self._connection(place, kept)
        except (OSError, TimeoutError) as exc:
            raise Unreachable from exc

    async def _connection(self, place: Place, kept: "_Kept") -> Connection:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        sock = await aiohappyeyeballs.start_connection(
            found, happy_eyeballs_delay=STAGGER_SECONDS, loop=loop
        )
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            _, connection = await loop.create_connection(
                lambda: Connection(loop, kept),
                sock=sock,
                ssl=self._context() if place.tls else None,
                server_hostname=place.host if place.tls else None,
            )
        except BaseException:
            sock.close()
            raise
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


async def _answered(connection: Connection, request: bytes) -> Response:
    response = connection.ask(request)
    try:
        await response.head()
    except BaseException:  # cancelled too: what comes later must find nobody
        connection.abort()
        raise
    return response


class _Kept:
    """The idle connections to one place; the one used last is used first."""

    def __init__(self) -> None:
        self._idle: list[Connection] = []
        self._sweep: asyncio.TimerHandle | None = None

    def take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
        return None

    def keep(self, connection: Connection) -> None:
        if len(self._idle) >= MAX_IDLE:
            connection.abort()
            return
        connection.idle_since = connection.loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = connection.loop.call_later(IDLE_SECONDS, self._end_old, connection.loop)

    def forget(self, connection: Connection) -> None:
        with contextlib.suppress(ValueError):  # it was in use
            self._idle.remove(connection)

    def close(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        while self._idle:
            self._idle.pop().abort()

    def _end_old(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = None
        until = loop.time() - IDLE_SECONDS
        old = [connection for connection in self._idle if connection.idle_since <= until]
        self._idle = [connection for connection in self._idle if connection.idle_since > until]
        for connection in old:
            connection.abort()
        if self._idle:
            due = self._idle[0].idle_since + IDLE_SECONDS
            self._sweep = loop.call_at(due, self._end_old, loop)
