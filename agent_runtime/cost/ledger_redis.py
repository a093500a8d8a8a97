"""The ledger in Redis: one script, so each step is atomic over all pods of a system.

Times are those of the server, whose clock is the same for all. Amounts stay below 2**53, so that
the script's doubles are exact; sums are made by HINCRBY, which counts in 64 bits.
"""

from collections.abc import Iterable

from agent_runtime.cost.budget import Totals
from agent_runtime.cost.ledger import LEASE_S, REMEMBERED_S
from agent_runtime.stores import base
from agent_runtime.stores.redis import Redis, Script

_LEASE_MS = round(LEASE_S * 1000)
_KEPT_S = 70 * 86_400
"""Longer than the longest period and the next one; after that nobody asks."""

# KEYS: totals (hash), holds (hash: amount, or "s" when settled), leases (sorted set: end in ms)
_SCRIPT = Script("""
local totals, holds, leases = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function add(field, sign, nano)
  if nano ~= '0' then redis.call('HINCRBY', totals, field, sign .. nano) end
end

local function sum(field)
  return tonumber(redis.call('HGET', totals, field) or '0')
end

while true do
  local ended = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 500)
  if #ended == 0 then break end
  for _, hold in ipairs(ended) do
    local nano = redis.call('HGET', holds, hold)
    if nano and nano ~= 's' then add('reserved', '-', nano) end
  end
  redis.call('HDEL', holds, unpack(ended))
  redis.call('ZREM', leases, unpack(ended))
end

local what, fits = ARGV[1], 1
if what == 'reserve' then
  local hold, nano, cap, lease = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
  if redis.call('HEXISTS', holds, hold) == 0 then
    if sum('settled') + sum('reserved') + tonumber(nano) > cap then
      fits = 0
    else
      redis.call('HSET', holds, hold, nano)
      redis.call('ZADD', leases, now + lease, hold)
      add('reserved', '', nano)
    end
  end
elseif what == 'settle' then
  local hold, nano, remembered = ARGV[2], ARGV[3], tonumber(ARGV[4])
  local held = redis.call('HGET', holds, hold)
  if held ~= 's' then
    if held then add('reserved', '-', held) end
    add('settled', '', nano)
    redis.call('HSET', holds, hold, 's')
    redis.call('ZADD', leases, now + remembered, hold)
  end
else
  local lease = tonumber(ARGV[2])
  for place = 4, #ARGV do
    local held = redis.call('HGET', holds, ARGV[place])
    if held and held ~= 's' then redis.call('ZADD', leases, now + lease, ARGV[place]) end
  end
  for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[3]) end
end
return {
  fits,
  redis.call('HGET', totals, 'settled') or '0',
  redis.call('HGET', totals, 'reserved') or '0',
}
""")


class RedisLedger:
    """One ledger for all pods of a system."""

    def __init__(self, redis: Redis, namespace: str, system: str) -> None:
        self._redis = redis
        self._prefix = f"{base.scope(namespace, system)}/budget"

    async def reserve(self, period: str, hold: str, nano: int, cap: int) -> tuple[bool, Totals]:
        """See `Ledger`."""
        return await self._run(period, "reserve", hold, nano, cap, _LEASE_MS)

    async def settle(self, period: str, hold: str, nano: int) -> Totals:
        """See `Ledger`."""
        _, totals = await self._run(period, "settle", hold, nano, round(REMEMBERED_S * 1000))
        return totals

    async def renew(self, period: str, holds: Iterable[str]) -> Totals:
        """See `Ledger`."""
        _, totals = await self._run(period, "renew", _LEASE_MS, _KEPT_S, *holds)
        return totals

    async def close(self) -> None:
        """The connection is not ours."""

    async def _run(self, period: str, *words: str | int) -> tuple[bool, Totals]:
        keys = [f"{self._prefix}/{period}{part}" for part in ("", "/holds", "/leases")]
        fits, settled, reserved = await self._redis.run(_SCRIPT, keys, words)
        return bool(fits), Totals(int(settled), int(reserved))
