"""One connection to one operator process: greet, then report until it ends.

Nothing is queued here: a report is made when it is sent, and the next one only once this one is
with the transport. What a peer that reads no more leaves there is bounded by the transport's own
buffer, and after `TAKEN_S` by the end of the connection.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from agent_runtime.channel import report as wire
from agent_runtime.channel.folder import Address, Credentials

CONNECT_S = 5.0
"""For connection, handshake and welcome."""
TAKEN_S = 10.0
"""A report that was not taken for so long: the other side is gone, whatever TCP believes."""
REPORT_EVERY_S = 1.0
CHANGES_APART_S = 0.25
"""A provider that changes all the time is told of no more often."""
_LINE_BYTES = 4_096


class Ended(Exception):  # the condition is the name
    """The connection cannot be made or has ended; says why."""


class Elsewhere(Exception):  # the condition is the name
    """Another process leads."""

    def __init__(self, address: Address) -> None:
        super().__init__(str(address))
        self.address = address


Report = Callable[[], Awaitable[wire.Report]]
_FAILURES = (
    OSError,  # TimeoutError and everything of TLS among them
    EOFError,
    ValueError,  # an address, or a name that TLS cannot use
    asyncio.LimitOverrunError,
    msgspec.DecodeError,
)


@asynccontextmanager
async def connected(credentials: Credentials, at: Address) -> AsyncIterator["Link"]:
    """Hold a connection that was welcomed; raise `Elsewhere` or `Ended`.

    Whoever answers at `at` must be the operator: its certificate names the channel's own host.
    """
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(
                at.host,
                at.port,
                ssl=credentials.tls,
                server_hostname=credentials.address.host,
                limit=_LINE_BYTES,
            )
            link = Link(reader, writer)
            await link.greet(credentials.token)
        yield link
    except _FAILURES as exc:
        raise Ended(type(exc).__name__) from exc
    finally:
        if writer is not None:
            writer.transport.abort()  # nothing is left to be said


class Link:
    """A connection, seen from the pod."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        writer.transport.set_write_buffer_limits(high=1, low=0)
        if (connection := writer.get_extra_info("socket")) is not None:
            with contextlib.suppress(OSError):  # no TCP: then nothing is half open either
                patience_ms = int(TAKEN_S * 1000)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience_ms)

    async def greet(self, token: str) -> None:
        """Prove who we are; raise `Elsewhere` or `Ended` unless welcomed."""
        self._writer.write(wire.encode(wire.Hello(wire.PROTOCOL, token)) + b"\n")
        match await self._heard():
            case wire.Redirect(address=address):
                raise Elsewhere(Address.parse(address))
            case wire.Refused(reason=reason):
                raise Ended(reason[:64])

    async def report(self, now: Report, changed: asyncio.Event) -> None:
        """Report once a second, and at once after a change, until the other side ends it."""
        ending = asyncio.create_task(self._heard())
        try:
            while not ending.done():
                changed.clear()
                await self._say(await now())
                await self._pause(changed, ending)
            match ending.result():
                case wire.Redirect(address=address):
                    raise Elsewhere(Address.parse(address))
                case wire.Refused(reason=reason):
                    raise Ended(reason[:64])
        finally:
            ending.cancel()
            await asyncio.wait([ending])
            if not ending.cancelled():
                ending.exception()  # looked at, so that nobody complains of it later

    async def _say(self, report: wire.Report) -> None:
        self._writer.write(wire.encode(report) + b"\n")
        async with asyncio.timeout(TAKEN_S):
            await self._writer.drain()

    async def _pause(self, changed: asyncio.Event, ending: asyncio.Task[object]) -> None:
        """Return when the next report is due."""
        await asyncio.wait([ending], timeout=CHANGES_APART_S)
        waiting = asyncio.create_task(changed.wait())
        rest_s = REPORT_EVERY_S - CHANGES_APART_S
        try:
            await asyncio.wait(
                [ending, waiting], timeout=rest_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waiting.cancel()

    async def _heard(self) -> wire.FromOperator:
        """Return the next line; what a newer operator says beyond ours is passed over."""
        while True:
            line = await self._reader.readuntil(b"\n")
            with contextlib.suppress(msgspec.ValidationError):
                said: wire.FromOperator = wire.FROM_OPERATOR.decode(line)
                return said
