"""One connection to a Redis server: commands go out as they come, replies come in that order.

Whoever asks while others wait shares their packet, so one connection serves the whole process. A
server that stays silent for too long has lost the connection, and everybody who waits is told.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import hiredis

from agent_runtime.stores.base import REPLY_SECONDS, StoreUnavailable

Word = str | bytes | int | float

_TICK_SECONDS = 0.25
# requests in flight are bounded too; this keeps a stalled server from filling our memory
_MAX_WAITING = 8192
_NOTHING = object()


class RedisRefused(StoreUnavailable):
    """The server answered with an error; `code` is its first word, such as OOM or NOSCRIPT.

    The rest of its text is not told, since it may quote a value.
    """

    def __init__(self, code: str) -> None:
        super().__init__(f"Redis refused: {code}")
        self.code = code


class Link(asyncio.Protocol):
    """Made by `loop.create_connection`; ends once, and `ended` is done then."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[None] = self._loop.create_future()

    async def ask(self, words: Sequence[Word]) -> Any:  # bytes, an int, None, or a list of them
        """Return the reply to one command; raise `StoreUnavailable`."""
        transport = self._transport
        if transport is None or self.ended.done():
            raise StoreUnavailable("the connection to Redis was lost")
        if len(self._waiting) >= _MAX_WAITING:
            raise StoreUnavailable("too many commands wait for Redis")
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((reply, self._loop.time()))
        transport.write(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type]  # of any length
        answer = await reply
        if isinstance(answer, hiredis.ReplyError):
            raise RedisRefused(_code(answer))
        return answer

    def close(self) -> None:
        """End the connection; those who wait are told that it was lost."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to watch for silence."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods
        self._tick()

    def data_received(self, data: bytes) -> None:
        """Hand each reply to the one who has waited longest."""
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not _NOTHING:
                reply, _ = self._waiting.popleft()
                if not reply.done():  # else nobody waits any more
                    reply.set_result(answer)
        except (hiredis.ProtocolError, IndexError):  # no Redis, or no order in what it says
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        if self._watch is not None:
            self._watch.cancel()
        while self._waiting:
            reply, _ = self._waiting.popleft()
            if not reply.done():
                reply.set_exception(StoreUnavailable("the connection to Redis was lost"))
        if not self.ended.done():
            self.ended.set_result(None)

    def _tick(self) -> None:
        if self._waiting and self._loop.time() - self._waiting[0][1] > REPLY_SECONDS:
            self.close()
            return
        self._watch = self._loop.call_later(_TICK_SECONDS, self._tick)


def _code(error: Exception) -> str:
    word = str(error).partition(" ")[0]
    return word if word.isupper() and word.isalpha() else "ERR"
