"""One request and its answer on a connection, with a short way for whole answers.

uvicorn's own way stays for streams, and for whatever is unusual: what is overridden here is only
how a whole answer is written, in one piece and without looking at every header by two patterns.
"""

from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from agent_runtime.app.asgi import ANSWER, WHOLE

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

_CLOSE = (b"connection", b"close")


class Cycle(RequestResponseCycle):
    """What `BoundedProtocol` makes of each request; its methods are put into the ASGI scope."""

    async def run_asgi(self, app: "ASGI3Application") -> None:
        """Run the application.

        Afterwards the scope no longer refers to us: what refers in a circle stays until the
        collector looks at old objects, which is seldom, and every request would leave some.
        """
        try:
            await super().run_asgi(app)
        finally:
            scope = cast("MutableMapping[str, object]", self.scope)
            for name in (WHOLE, ANSWER):
                scope.pop(name, None)

    def whole(self) -> bytes | None:
        """Return the request's body if all of it is here already, and nothing else was taken."""
        if self.more_body or self.disconnected or self.response_complete:
            return None
        self.message_event.clear()
        body, self.body = bytes(self.body), bytearray()
        return body

    async def answer(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Send a whole answer; its `headers` tell the length of `body`."""
        is_plain = self.scope["method"] != "HEAD" and not self.response_started
        if is_plain and not (self.flow.write_paused or self.disconnected):
            self._write(status, headers, body)
            return
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await self.send(start)  # type: ignore[arg-type]  # a dict as good as uvicorn's own
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    def _write(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        lines = [b"%b: %b\r\n" % header for header in headers]
        if _CLOSE in headers:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close\r\n")
        head = b"".join(lines)
        # a line break inside a header would begin another one, or the body
        if not (head.count(b"\n") == head.count(b"\r") == len(lines)):
            raise RuntimeError("a header with a line break")
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[status], head, body))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
