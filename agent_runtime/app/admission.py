"""Which requests are being answered, how many may be, and how each can be interrupted.

Every request holds a slot. A slot ends its request by an `asyncio.timeout` moved to now, so that
time limit, vanished client and shutdown take one and the same way out.

When all slots are taken, those who will have one soon wait for it, and all others are told at once
when to come again: to wait in vain helps nobody. Of whoever waits only the head has been read; a
body is read once there is a slot, so a crowd costs next to no memory.
"""

import asyncio
from enum import StrEnum
from types import TracebackType

from agent_runtime.app import limits
from agent_runtime.app.asgi import Receive, Reply
from agent_runtime.app.errors import overloaded, shutting_down
from agent_runtime.app.fair_queue import FairQueue
from agent_runtime.guard.principal import ANONYMOUS, Principal


class Interruption(StrEnum):
    """Why a request ended before its answer."""

    TOO_LONG = "too_long"  # the limit for one request
    CLIENT_GONE = "client_gone"  # nobody is listening any more
    SHUTTING_DOWN = "shutting_down"  # the grace period is over


class Admission:
    """The slots of a process."""

    def __init__(self, *, limit: int = limits.MAX_IN_FLIGHT) -> None:
        self.limit = limit
        self._slots: set[Slot] = set()
        self._queue: FairQueue[Slot] = FairQueue()
        self._waiting: set[Slot] = set()
        self._held_s = limits.FIRST_GUESS_SECONDS  # how long a slot is held, by experience
        self._body_bytes = 0
        self._closed = False
        self.draining = False
        self.last_request_at = float("-inf")  # event loop time

    @property
    def in_flight(self) -> int:
        """Return the number of requests being answered."""
        return len(self._slots)

    @property
    def waiting(self) -> int:
        """Return the number of requests that wait for a slot."""
        return self._queue.size

    def oldest_wait_s(self, now: float) -> float:
        """Return how long somebody has been waiting, 0 if nobody is."""
        since = self._queue.oldest()
        return 0.0 if since is None else now - since

    def slot(self, receive: Receive, reply: Reply, who: Principal = ANONYMOUS) -> "Slot":
        """Return a slot to enter, maybe after a wait, or raise the 429 that says when to come."""
        self.refuse_crowd(who)
        return Slot(self, receive, reply, who)

    def refuse_crowd(self, who: Principal) -> None:
        """Raise what refuses a request that would not get a slot soon."""
        if self._closed:
            raise shutting_down()
        if self._is_full and not self._queue.has_room(who, most=self._room(who)):
            raise overloaded(after_s=self._expected_wait_s(who))

    @property
    def _is_full(self) -> bool:
        return len(self._slots) >= self.limit or self._queue.size > 0

    def _room(self, who: Principal) -> int:
        """Return how many of a priority may wait: those who get a slot within their patience.

        room = patience * slots / time that one is held; 1 s, 20 slots, 0.2 s -> 100.
        """
        soon = limits.PATIENCE_SECONDS[who.priority] * self.limit / self._held_s
        return min(limits.MAX_WAITING, max(1, int(soon)))

    def _expected_wait_s(self, who: Principal) -> float:
        return (self._queue.ahead_of(who) + 1) * self._held_s / self.limit

    def drain(self) -> None:
        """Fail readiness from now on and ask clients to reconnect elsewhere."""
        self.draining = True

    def cut_off(self) -> None:
        """Interrupt whatever is still being answered, and begin nothing more."""
        self._closed = True
        for slot in [*self._slots, *self._waiting]:
            slot.interrupt(Interruption.SHUTTING_DOWN)

    async def enter(self, slot: "Slot", now: float) -> None:
        """Count a slot in, when it is its turn."""
        self.last_request_at = now
        if not self._is_full:
            self._begin(slot, now)
            return
        place = self._queue.add(slot, slot.who, now)
        self._waiting.add(slot)
        try:
            async with asyncio.timeout(limits.QUEUE_SECONDS) as patience:
                await slot.turn.wait()
        except TimeoutError:
            if patience.expired():  # higher priorities took what was expected to become free
                raise overloaded(after_s=self._expected_wait_s(slot.who)) from None
            raise
        finally:
            self._queue.drop(place)
            self._waiting.discard(slot)

    def _begin(self, slot: "Slot", now: float) -> None:
        self._slots.add(slot)
        slot.begun_at = now
        slot.turn.set()

    def leave(self, slot: "Slot", now: float) -> None:
        """Count a slot out, and let the next one in."""
        self.last_request_at = now
        if slot not in self._slots:
            return
        self._slots.discard(slot)
        self._body_bytes -= slot.body_bytes
        self._held_s += limits.LEARNING_RATE * (max(now - slot.begun_at, 1e-4) - self._held_s)
        while len(self._slots) < self.limit and (following := self._queue.take()) is not None:
            self._begin(following, now)

    def hold(self, size: int) -> None:
        """Take part of the memory for bodies, or raise the 429 that says there is none left."""
        if self._body_bytes + size > limits.MAX_BODY_BYTES_IN_FLIGHT:
            raise overloaded(after_s=self._held_s)
        self._body_bytes += size


class Slot:
    """One request's place, from its first byte to the last byte of its answer."""

    def __init__(
        self, admission: Admission, receive: Receive, reply: Reply, who: Principal
    ) -> None:
        self.who = who
        self.turn = asyncio.Event()
        self.begun_at = 0.0
        self._admission = admission
        self._receive = receive
        self._reply = reply
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)  # until the request has lasted a moment: see `_watch`
        self._patience: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.interruption = Interruption.TOO_LONG  # unless something else comes first
        self.body_bytes = 0

    async def __aenter__(self) -> "Slot":
        await self._limit.__aenter__()
        try:
            await self._admission.enter(self, self._loop.time())
        except BaseException as exc:
            self._admission.leave(self, self._loop.time())  # its turn may have come just now
            await self._limit.__aexit__(type(exc), exc, exc.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._admission.leave(self, self._loop.time())
        await self._stop_watching()
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

    async def _stop_watching(self) -> None:
        """End the watcher, and refer to it no more.

        It refers to us, by what it was cancelled with. Whatever a stream held would stay until the
        collector comes, and for some ten thousand such objects that is a pause of 30 ms.
        """
        if self._patience:
            self._patience.cancel()
        watcher = self._watcher
        self._patience = self._watcher = None
        if watcher:
            watcher.cancel()
            await asyncio.wait([watcher])

    def _watch(self) -> None:
        if not self._limit.expired() and self._limit.when() is None:
            self._limit.reschedule(self.begun_at + limits.REQUEST_SECONDS)
        self._watcher = self._loop.create_task(self._wait_for_disconnect())

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.interrupt(Interruption.CLIENT_GONE)
