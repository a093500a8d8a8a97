"""Which requests are being answered, how many may be, and how each can be interrupted.

Every request holds a slot. A slot ends its request by an `asyncio.timeout` moved to now, so that
time limit, vanished client and shutdown take one and the same way out.
"""

import asyncio
from enum import StrEnum
from types import TracebackType

from agent_runtime.app import limits
from agent_runtime.app.asgi import Receive, Reply
from agent_runtime.app.errors import overloaded, shutting_down


class Interruption(StrEnum):
    """Why a request ended before its answer."""

    TOO_LONG = "too_long"  # the limit for one request
    CLIENT_GONE = "client_gone"  # nobody is listening any more
    SHUTTING_DOWN = "shutting_down"  # the grace period is over


class Admission:
    """The slots of a process."""

    def __init__(self, *, limit: int = limits.MAX_IN_FLIGHT) -> None:
        self._limit = limit
        self._slots: set[Slot] = set()
        self._body_bytes = 0
        self._closed = False
        self.draining = False
        self.last_request_at = float("-inf")  # event loop time

    @property
    def in_flight(self) -> int:
        """Return the number of requests being answered."""
        return len(self._slots)

    def slot(self, receive: Receive, reply: Reply) -> "Slot":
        """Return a slot to enter, or raise the 503 that says there is none."""
        if self._closed:
            raise shutting_down()
        if len(self._slots) >= self._limit:
            raise overloaded()
        return Slot(self, receive, reply)

    def drain(self) -> None:
        """Fail readiness from now on and ask clients to reconnect elsewhere."""
        self.draining = True

    def cut_off(self) -> None:
        """Interrupt whatever is still being answered, and begin nothing more."""
        self._closed = True
        for slot in list(self._slots):
            slot.interrupt(Interruption.SHUTTING_DOWN)

    def enter(self, slot: "Slot", now: float) -> None:
        """Count a slot in."""
        self._slots.add(slot)
        self.last_request_at = now

    def leave(self, slot: "Slot", now: float) -> None:
        """Count a slot out."""
        self._slots.discard(slot)
        self._body_bytes -= slot.body_bytes
        self.last_request_at = now

    def hold(self, size: int) -> None:
        """Take part of the memory for bodies, or raise the 503 that says there is none left."""
        if self._body_bytes + size > limits.MAX_BODY_BYTES_IN_FLIGHT:
            raise overloaded()
        self._body_bytes += size


class Slot:
    """One request's place, from its first byte to the last byte of its answer."""

    def __init__(self, admission: Admission, receive: Receive, reply: Reply) -> None:
        self._admission = admission
        self._receive = receive
        self._reply = reply
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(limits.REQUEST_SECONDS)
        self._patience: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.interruption = Interruption.TOO_LONG  # unless something else comes first
        self.body_bytes = 0

    async def __aenter__(self) -> "Slot":
        await self._limit.__aenter__()
        self._admission.enter(self, self._loop.time())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._admission.leave(self, self._loop.time())
        if self._patience:
            self._patience.cancel()
        if self._watcher:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        await self._limit.__aexit__(kind, exc, trace)

    def hold(self, size: int) -> None:
        """Account for a part of the body."""
        self._admission.hold(size)
        self.body_bytes += size

    def received(self) -> None:
        """Begin to watch the client: its request is here, nothing more comes from it."""
        self._patience = self._loop.call_later(limits.DISCONNECT_PATIENCE_SECONDS, self._watch)

    def interrupt(self, reason: Interruption) -> None:
        """End the request: its code meets `TimeoutError` at the next await."""
        if not self._reply.ended and not self._limit.expired():
            self.interruption = reason
            self._limit.reschedule(self._loop.time())

    def _watch(self) -> None:
        self._watcher = self._loop.create_task(self._wait_for_disconnect())

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.interrupt(Interruption.CLIENT_GONE)
