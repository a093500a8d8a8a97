"""One TLS connection as lines, on small buffers and with the reader in control of the pace.

asyncio's own TLS keeps a buffer of 256 KiB for each connection, a quarter of a gigabyte for a
thousand pods that say three lines a second. This keeps what OpenSSL needs and, while a line is
incomplete or has to wait, that line.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol

from agentsystem_operator.adapters.channel.limits import Limits


class Lines(Protocol):
    """Who takes the lines of one connection."""

    def line(self, text: bytes) -> None:
        """Take one line, without its end; may pause or close the connection."""

    def too_long(self) -> None:
        """Take note that a line is longer than allowed; the connection is closed next."""

    def lost(self) -> None:
        """Take note of the end, however it came."""


class SecureLines(asyncio.BufferedProtocol):
    """The server's side of one connection."""

    def __init__(
        self,
        context: ssl.SSLContext,
        buffer: memoryview,
        limits: Limits,
        opened: Callable[["SecureLines"], Lines],
    ) -> None:
        """`buffer` is shared by all connections of a loop: it is empty again after each read."""
        self._buffer = buffer
        self._limits = limits
        self._opened = opened
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shaken = False
        self._rest = b""
        self._waiting: asyncio.TimerHandle | None = None
        self._held = False
        self._closed = False
        self._transport: asyncio.Transport | None = None
        self._lines: Lines | None = None
        self.peer = ""

    # -- what asyncio calls --------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 -- of a stream server
        self._transport = transport
        address = transport.get_extra_info("peername")
        self.peer = str(address[0]) if address else ""
        self._lines = self._opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes."""
        if not self._closed:
            self._incoming.write(self._buffer[:nbytes])
            self._advance()

    def eof_received(self) -> bool:
        """Close when the other side does."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell of the end."""
        del exc
        self._closed = True
        self._cancel_wait()
        if self._lines is not None:
            lines, self._lines = self._lines, None
            lines.lost()

    # -- what the reader of the lines calls ----------------------------------

    def send(self, line: bytes) -> None:
        """Send one line."""
        if self._closed or not self._shaken:
            return
        self._tls.write(line + b"\n")
        self._flush()

    def hold(self) -> None:
        """Hand out no more lines until `go_on`; what the pod sends waits in its own buffers."""
        self._held = True
        self._stop_reading()

    def go_on(self) -> None:
        """Hand out lines again."""
        self._held = False
        self._resume()

    def wait(self, seconds: float) -> None:
        """Hand out no more lines for some time."""
        self._stop_reading()
        self._cancel_wait()
        self._waiting = asyncio.get_running_loop().call_later(seconds, self._waited)

    def close(self) -> None:
        """End after what was sent is delivered."""
        if self._closed or self._transport is None:
            return
        self._closed = True
        self._cancel_wait()
        self._transport.close()

    def abort(self) -> None:
        """End at once: the other side does not take part any more."""
        if self._transport is not None:
            self._closed = True
            self._cancel_wait()
            self._transport.abort()

    # ------------------------------------------------------------------------

    @property
    def _paused(self) -> bool:
        return self._held or self._waiting is not None or self._closed

    def _waited(self) -> None:
        self._waiting = None
        self._resume()

    def _resume(self) -> None:
        if not self._paused and self._transport is not None:
            self._advance()
            if not self._paused:
                self._transport.resume_reading()

    def _stop_reading(self) -> None:
        if self._transport is not None and not self._closed:
            self._transport.pause_reading()

    def _cancel_wait(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _advance(self) -> None:
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
            self._hand_out()
            while not self._paused and (more := self._tls.read(self._limits.read_bytes)):
                self._rest += more
                self._hand_out()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except ssl.SSLError:  # no TLS, another authority, or the end: all are the end
            self._flush()
            self.close()
            return
        self._flush()

    def _hand_out(self) -> None:
        begin = 0
        while not self._paused and (end := self._rest.find(b"\n", begin)) >= 0:
            line, begin = self._rest[begin:end], end + 1
            if self._lines is not None and self._is_short(line):
                self._lines.line(line)
        self._rest = self._rest[begin:]
        if not self._paused:
            self._is_short(self._rest)

    def _is_short(self, line: bytes) -> bool:
        if len(line) <= self._limits.line_bytes:
            return True
        if self._lines is not None:
            self._lines.too_long()
        self.close()
        return False

    def _flush(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())
        if self._transport.get_write_buffer_size() > self._limits.write_bytes:
            self.abort()
