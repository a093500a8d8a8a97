"""Answers that the pods of a system share in Redis. While it is away, it knows nothing.

Each value names its key, so that none can be put in another's place by somebody who may write there
and does not know what is sealed.
"""

import asyncio
from typing import Any, Protocol

from agent_runtime.cache.kept import Kept
from agent_runtime.stores.base import StoreUnavailable
from agent_runtime.stores.redis_link import Word

WITHIN_S = 0.01
"""A reply takes a millisecond; whoever waits for much longer could have asked the model."""
_PASSES = 4
"""Of a busy event loop: a reply that lies in the socket when time is over has come in time."""
_FORM = b"1"  # of values; another one is a miss


class Shared(Protocol):
    """Values by key. Raises `StoreUnavailable` soon, rather than make anybody wait."""

    async def get(self, key: bytes) -> bytes | None:
        """Return what is kept under a key."""
        ...

    async def put(self, key: bytes, value: bytes, seconds: float) -> None:
        """Keep a value for so long."""
        ...


class Commands(Protocol):
    """What is needed of `stores.redis.Redis`."""

    async def command(self, *words: Word) -> Any:
        """Return the reply to a command; raise `StoreUnavailable`."""
        ...


class RedisShelf:
    """Values in Redis, which lets them go by itself when their time is over."""

    def __init__(self, redis: Commands, begin: str, *, within_s: float = WITHIN_S) -> None:
        """`begin`: what every key of the system starts with."""
        self._redis = redis
        self._prefix = f"{begin}/answers/"
        self._within_s = within_s

    async def get(self, key: bytes) -> bytes | None:
        """See `Shared`."""
        value: bytes | None = await self._ask("GET", self._name(key))
        return value

    async def put(self, key: bytes, value: bytes, seconds: float) -> None:
        """See `Shared`."""
        milliseconds = max(1, round(seconds * 1000))
        await self._ask("SET", self._name(key), value, "PX", milliseconds)

    def _name(self, key: bytes) -> str:
        return self._prefix + key.hex()

    async def _ask(self, *words: Word) -> bytes | None:
        asking: asyncio.Task[bytes | None] = asyncio.create_task(self._redis.command(*words))
        try:
            await asyncio.wait([asking], timeout=self._within_s)
            for _ in range(_PASSES):
                if asking.done():
                    return asking.result()
                await asyncio.sleep(0)
        finally:
            asking.cancel()  # also if we are cancelled; nothing, if it has ended
        raise StoreUnavailable("Redis did not answer in time")


def packed(key: bytes, kept: Kept) -> bytes:
    """Return an answer as a value."""
    return b"%b%b%.3f %b" % (_FORM, key, kept.until, kept.body)


def unpacked(key: bytes, value: bytes | None) -> Kept | None:
    """Return the answer in a value; None if there is none, or it is of another key or form."""
    begin = _FORM + key
    if value is None or not value.startswith(begin):
        return None
    until, _, body = value[len(begin) :].partition(b" ")
    try:
        kept = Kept(float(until), body)
        kept.answer()
    except (ValueError, KeyError, TypeError):
        return None
    return kept
