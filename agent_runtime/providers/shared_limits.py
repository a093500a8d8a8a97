"""Limits that all pods of a system share, through Redis.

Invariants: the pods together never hold more places than the limit, but for those of pods that were
killed, which fall free within `LEASE_S`. While Redis is away each pod keeps the limit for itself: a
limit protects an account, and is no reason to answer nobody.
"""

import asyncio
import random
import secrets
import time

from agent_runtime.providers.limits import Limiter, LimitReached, Limits, Turn
from agent_runtime.stores.base import StoreUnavailable
from agent_runtime.stores.redis import Redis, Script

LEASE_S = 15.0
"""How long a place is kept for a pod that says nothing any more."""
RENEW_S = 5.0
_POLL_S = 0.1
"""How often to look for a free place, on average: nobody tells when there is one."""
_FORGET_S = 120
"""After a minute without requests a bucket is full, as one that does not exist."""

# KEYS: hash of both buckets. ARGV: requests and tokens a minute (0: no limit), tokens, longest
# wait, seconds to remember. Returns whether it was taken, and the seconds to wait. Redis' clock
# counts, since pods' differ.
_RESERVE = Script("""
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local held = redis.call('HMGET', KEYS[1], 'requests', 'tokens', 'at')
local passed = held[3] and math.max(0, now - held[3]) or 0
local costs = {1, tonumber(ARGV[3])}
local levels, wait = {}, 0
for i = 1, 2 do
  local size = tonumber(ARGV[i])
  if size > 0 then
    levels[i] = math.min(size, (held[i] and tonumber(held[i]) or size) + passed * size / 60)
    wait = math.max(wait, (math.min(costs[i], size) - levels[i]) * 60 / size)
  end
end
if wait > tonumber(ARGV[4]) then return {0, tostring(wait)} end
for i, name in ipairs({'requests', 'tokens'}) do
  if levels[i] then redis.call('HSET', KEYS[1], name, tostring(levels[i] - costs[i])) end
end
redis.call('HSET', KEYS[1], 'at', tostring(now))
redis.call('EXPIRE', KEYS[1], ARGV[5])
return {1, tostring(wait)}
""")

# KEYS: hash of both buckets. ARGV: what to take off the level of requests, and of tokens.
_CORRECT = Script("""
for i, name in ipairs({'requests', 'tokens'}) do
  if redis.call('HEXISTS', KEYS[1], name) == 1 then
    redis.call('HINCRBYFLOAT', KEYS[1], name, -tonumber(ARGV[i]))
  end
end
""")

# KEYS: places by the time until which they are held. ARGV: limit, seconds, name. 1: it was taken.
_TAKE_PLACE = Script("""
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', tostring(now))
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], tostring(now + ARGV[2]), ARGV[3])
redis.call('EXPIRE', KEYS[1], math.ceil(ARGV[2]) * 2)
return 1
""")

# KEYS: as above. ARGV: seconds, names.
_RENEW = Script("""
local time = redis.call('TIME')
local till = tostring(time[1] + time[2] / 1000000 + ARGV[1])
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], till, ARGV[i]) end
redis.call('EXPIRE', KEYS[1], math.ceil(ARGV[1]) * 2)
""")


class SharedLimiter:
    """Counts in Redis; `keep` runs beside it. `alone` takes its place while Redis is away."""

    def __init__(self, redis: Redis, key: str, limits: Limits, alone: Limiter) -> None:
        """`key` begins the names of what is stored."""
        self._redis = redis
        self._rates, self._places = f"{key}/rates", f"{key}/places"
        self._limits = limits
        self._alone = alone
        self._has_rates = bool(limits.requests_per_minute or limits.tokens_per_minute)
        self._held: set[str] = set()

    async def turn(self, tokens: int, within_s: float) -> Turn:
        """Return when it is one's turn; raise LimitReached."""
        until = time.monotonic() + within_s
        try:
            return await self._shared_turn(tokens, until)
        except StoreUnavailable:
            left_s = max(0.0, until - time.monotonic())
            return await self._alone.turn(tokens, left_s)

    async def keep(self) -> None:
        """Say again and again that the places are still held; ends only by cancellation."""
        while True:
            await asyncio.sleep(RENEW_S)
            if not self._held:
                continue
            try:
                await self._redis.run(_RENEW, [self._places], [LEASE_S, *self._held])
            except StoreUnavailable:
                continue  # they fall free, and are taken again by this when it is back

    async def _shared_turn(self, tokens: int, until: float) -> Turn:
        wait_s = await self._reserve(tokens, max(0.0, until - time.monotonic()))
        turn = _SharedTurn(self, tokens)
        try:
            if wait_s:
                await asyncio.sleep(wait_s)
            await self._take_place(turn.name, until)
        except BaseException:  # refused after all, or given up by the client
            await asyncio.shield(self._undo(turn.name, tokens))
            raise
        return turn

    async def _reserve(self, tokens: int, within_s: float) -> float:
        if not self._has_rates:
            return 0.0
        rates = (self._limits.requests_per_minute or 0, self._limits.tokens_per_minute or 0)
        arguments = (*rates, tokens, within_s, _FORGET_S)
        taken, wait = await self._redis.run(_RESERVE, [self._rates], arguments)
        wait_s = max(0.0, float(wait))
        if not taken:
            raise LimitReached(wait_s)
        return wait_s

    async def _take_place(self, name: str, until: float) -> None:
        if self._limits.concurrency is None:
            return
        arguments = (self._limits.concurrency, LEASE_S, name)
        while not await self._redis.run(_TAKE_PLACE, [self._places], arguments):
            pause_s = random.uniform(0.5, 1.5) * _POLL_S  # noqa: S311  # no secret
            if time.monotonic() + pause_s > until:
                raise LimitReached(pause_s)
            await asyncio.sleep(pause_s)
        self._held.add(name)

    async def correct(self, requests: int, tokens: int) -> None:
        """Take so much more, or with negative figures give it back; lost if Redis is away."""
        if not self._has_rates or (requests, tokens) == (0, 0):
            return
        try:
            await self._redis.run(_CORRECT, [self._rates], (requests, tokens))
        except StoreUnavailable:
            return  # the bucket fills by itself

    async def _undo(self, name: str, tokens: int) -> None:
        await self.correct(-1, -tokens)
        if self._limits.concurrency is not None:
            self._held.add(name)  # it may have been taken just before we were told to give up
            await self.leave(name)

    async def leave(self, name: str) -> None:
        """Give a place back; if Redis is away it falls free when its lease is over."""
        if name not in self._held:
            return
        self._held.discard(name)
        try:
            await self._redis.command("ZREM", self._places, name)
        except StoreUnavailable:
            return


class _SharedTurn:
    def __init__(self, limiter: SharedLimiter, taken: int) -> None:
        self.name = secrets.token_hex(8)
        self._limiter, self._taken = limiter, taken

    async def settle(self, tokens: int) -> None:
        change, self._taken = tokens - self._taken, tokens
        await self._limiter.correct(0, change)

    async def end(self) -> None:
        await self._limiter.leave(self.name)
