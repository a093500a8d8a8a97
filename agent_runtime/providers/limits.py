"""How often a provider may be asked: requests and tokens a minute, and how many at once.

A limit belongs to the account, so all models of a provider share it. Whoever finds it reached waits
a moment for his turn and is then left to the next provider of the chain.

A rate is a bucket that holds a minute's worth and fills evenly. It may be overdrawn by as much as
will have come in time: so everybody knows his moment, and turns come in the order of the asking.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

WAIT_S = 2.0
"""How long to wait for one's turn: long enough for a burst, far below what callers bear."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one account may be asked for; None is no limit."""

    concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class LimitReached(Exception):  # the condition is the name
    """One's turn would not come in time; nothing was taken."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class Turn(Protocol):
    """The right to ask once, from `Limiter.turn` until it is given back."""

    async def settle(self, tokens: int) -> None:
        """Correct what was taken to the tokens that were used; 0 gives all of them back."""
        ...

    async def end(self) -> None:
        """Let another one have the place."""
        ...


class Limiter(Protocol):
    """Counts what a provider is asked for."""

    async def turn(self, tokens: int, within_s: float) -> Turn:
        """Return when it is one's turn to ask for so many tokens; raise LimitReached."""
        ...


class Bucket:
    """One rate, without I/O: a full minute's worth at first.

    60 a minute, 60 taken at once: the next one waits for 1 s, the one after it for 2 s.
    """

    def __init__(self, per_minute: int, now: float) -> None:
        self._size = float(per_minute)
        self._level, self._at = self._size, now

    def wait_s(self, cost: int, now: float) -> float:
        """Return the seconds until so much is there; more than the bucket holds costs all of it."""
        self._level = min(self._size, self._level + (now - self._at) * self._size / 60)
        self._at = now
        return max(0.0, min(cost, self._size) - self._level) * 60 / self._size

    def take(self, cost: int) -> None:
        """Take it, or with a negative cost give it back."""
        self._level -= cost


class LocalLimiter:
    """Counts for this process alone."""

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        now = clock()
        rates = (limits.requests_per_minute, limits.tokens_per_minute)
        self._requests, self._tokens = (Bucket(rate, now) if rate else None for rate in rates)
        self._places = asyncio.Semaphore(limits.concurrency) if limits.concurrency else None

    async def turn(self, tokens: int, within_s: float) -> Turn:
        """Return when it is one's turn; raise LimitReached."""
        until = self._clock() + within_s
        wait_s = self._reserve(tokens, within_s)
        try:
            if wait_s:
                await self._sleep(wait_s)
            await self._take_place(until - self._clock())
        except BaseException:  # refused after all, or given up by the client
            self._give_back(tokens)
            raise
        return _LocalTurn(self._tokens, tokens, self._places)

    def _reserve(self, tokens: int, within_s: float) -> float:
        now = self._clock()
        wanted = [(b, cost) for b, cost in ((self._requests, 1), (self._tokens, tokens)) if b]
        wait_s = max((bucket.wait_s(cost, now) for bucket, cost in wanted), default=0.0)
        if wait_s > within_s:
            raise LimitReached(wait_s)
        for bucket, cost in wanted:
            bucket.take(cost)
        return wait_s

    def _give_back(self, tokens: int) -> None:
        if self._requests:
            self._requests.take(-1)
        if self._tokens:
            self._tokens.take(-tokens)

    async def _take_place(self, within_s: float) -> None:
        if self._places is None:
            return
        try:
            async with asyncio.timeout(max(within_s, 0.0)):
                await self._places.acquire()
        except TimeoutError as exc:
            raise LimitReached(WAIT_S) from exc


class _LocalTurn:
    def __init__(self, bucket: Bucket | None, taken: int, places: asyncio.Semaphore | None) -> None:
        self._bucket, self._taken, self._places = bucket, taken, places

    async def settle(self, tokens: int) -> None:
        if self._bucket:
            self._bucket.take(tokens - self._taken)
            self._taken = tokens

    async def end(self) -> None:
        if self._places:
            self._places.release()
