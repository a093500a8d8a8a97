"""Sessions in Redis: shared by all replicas, and as durable as the server's append-only file.

With `appendfsync always` an acknowledged turn survives kill -9 of pod and server. A session is a
list of turns; beside all of them an index by expiry and the sizes. Each step is one script, so
replicas cannot come between. Time is the server's, since the clocks of pods differ.
"""

from collections.abc import Callable

from agent_runtime.memory.base import MAX_SESSION_BYTES, Retention, StoreFull
from agent_runtime.stores.redis import Redis, Script
from agent_runtime.stores.redis_link import RedisRefused

_PURGE = 100  # expired sessions removed per write, so that no single write takes long

_NOW = """
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1000000
end
"""
_LOAD = Script(
    _NOW
    + """
local expires = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[2]) or 0)
if expires <= now then return {} end
return redis.call('LRANGE', KEYS[1], -tonumber(ARGV[3]), -1)
"""
)
_COUNT = Script(
    _NOW + "return redis.call('ZCOUNT', KEYS[1], '(' .. string.format('%.6f', now), '+inf')"
)
# The whole step is judged before anything is written: a script is atomic, but not undone.
# Keys expire by themselves too, for when a system is gone and nobody is left to purge them.
_APPEND = Script(
    _NOW
    + """
local turns, index, sizes, total = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local member, folder, turn = ARGV[2], ARGV[3], ARGV[4]
local ttl, max_turns, max_session = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local max_sessions, max_bytes, purge = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]

local function forget(gone)
  redis.call('UNLINK', folder .. gone)
  redis.call('DECRBY', total, redis.call('HGET', sizes, gone) or 0)
  redis.call('HDEL', sizes, gone)
  redis.call('ZREM', index, gone)
end

local till = string.format('%.6f', now)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', till, 'LIMIT', 0, purge)) do
  forget(gone)
end
local count = redis.call('LLEN', turns) + 1
local expires = redis.call('ZSCORE', index, member)
if expires and (tonumber(expires) <= now or count == 1) then
  forget(member)
  expires, count = false, 1
end

local before = tonumber(redis.call('HGET', sizes, member) or 0)
local size, dropped = before + #turn, 0
while count - dropped > max_turns or (size > max_session and count - dropped > 1) do
  size = size - #redis.call('LINDEX', turns, dropped)
  dropped = dropped + 1
end
if not expires and redis.call('ZCARD', index) >= max_sessions then return 'sessions' end
local growth = size - before
if growth > 0 and tonumber(redis.call('GET', total) or 0) + growth > max_bytes then
  return 'bytes'
end

redis.call('RPUSH', turns, turn)
redis.call('LTRIM', turns, dropped, -1)
redis.call('ZADD', index, string.format('%.6f', now + ttl), member)
redis.call('HSET', sizes, member, size)
redis.call('INCRBY', total, growth)
local keep_ms = math.ceil(ttl * 1000) + 1000
for _, key in ipairs({turns, index, sizes, total}) do
  if redis.call('PTTL', key) < keep_ms then redis.call('PEXPIRE', key, keep_ms) end
end
return 'kept'
"""
)


class RedisSessions:
    """The store; the client is closed by who opened it."""

    def __init__(
        self,
        redis: Redis,
        scope: str,
        retention: Retention,
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`scope` begins every key; `clock` replaces the server's time."""
        self._redis = redis
        self._scope = f"{scope}/"
        self._folder = f"{scope}/sessions/"
        # no agent's name begins with a dot
        self._index, self._sizes, self._total = (
            f"{self._folder}.{name}" for name in ("index", "sizes", "total")
        )
        self._retention = retention
        self._clock = clock

    async def load(self, key: str) -> list[bytes]:
        """Return the session's turns, oldest first."""
        member = self._member(key)
        arguments = (self._now(), member, self._retention.max_turns)
        keys = [self._folder + member, self._index]
        turns: list[bytes] = await self._redis.run(_LOAD, keys, arguments)
        return turns

    async def append(self, key: str, turn: bytes) -> None:
        """Keep a turn, or raise `StoreFull`; the server answers when it is safe."""
        member, kept = self._member(key), self._retention
        keys = [self._folder + member, self._index, self._sizes, self._total]
        bounds = (kept.ttl_s, kept.max_turns, MAX_SESSION_BYTES, kept.max_sessions, kept.max_bytes)
        arguments = (self._now(), member, self._folder, turn, *bounds, _PURGE)
        try:
            outcome = await self._redis.run(_APPEND, keys, arguments)
        except RedisRefused as exc:
            if exc.code == "OOM":
                raise StoreFull("the Redis server has no memory left") from exc
            raise
        if outcome != b"kept":
            raise StoreFull(f"too many {outcome.decode()} in the store")

    async def count(self) -> int:
        """Return the number of live sessions."""
        return int(await self._redis.run(_COUNT, [self._index], [self._now()]))

    async def close(self) -> None:
        """Hold nothing of its own."""

    def _member(self, key: str) -> str:
        return key.removeprefix(self._scope)

    def _now(self) -> str:
        return f"{self._clock():.6f}" if self._clock else ""
