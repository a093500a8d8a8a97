"""The counter that all pods of a system share, in Redis: one round trip for a request's limits.

While Redis is away each pod counts for itself, against the whole limit: a limit is no reason to
answer nobody. It knows what it has admitted before, so that the pods together admit at most the
limit times their number; what they admitted meanwhile Redis never learns.
"""

import hashlib
import logging
from collections.abc import Callable

from agent_runtime.guard.quota.rates import Admitted, Refused, Span, Subject, Verdict
from agent_runtime.guard.quota.window import Alone
from agent_runtime.stores.base import StoreUnavailable
from agent_runtime.stores.redis import Redis, Script

_SPANS = (Span.MINUTE, Span.DAY)

_log = logging.getLogger(__name__)

# KEYS: a hash for each subject: the requests of each second that counts, the first and the last of
# these, their total; the day, and the requests of it. ARGV: requests a minute and a day for each
# (0: no limit). Returns whether it was counted; subject, span and size of the limit that decided;
# what is left of it; ms until one falls free, and until all are. Redis' clock counts, since pods'
# differ; if it goes back, the minute begins anew.
_ADMIT = """
local time = CLOCK
local sec = tonumber(time[1])
local now = sec + time[2] / 1000000
local day = math.floor(sec / 86400)
local midnight = (day + 1) * 86400
local held, worst, tightest = {}, nil, nil
local function judge(subject, span, limit, used, frees, resets)
  if limit == 0 then return end
  local found = {subject, span, limit, limit - used - 1, frees, resets}
  if used >= limit then
    if not worst or frees > worst[5] then worst = found end
  elseif not tightest or found[4] < tightest[4] then
    tightest = found
  end
end
for i, key in ipairs(KEYS) do
  local was = redis.call('HMGET', key, 'first', 'last', 'total', 'day', 'today')
  local first, last, total = tonumber(was[1]) or 0, tonumber(was[2]) or 0, tonumber(was[3]) or 0
  local before = total
  for _ = 1, 62 do
    if total <= 0 then break end
    local count = redis.call('HGET', key, first)
    if count and first >= sec - 60 and last <= sec then break end
    if count then
      total = total - count
      redis.call('HDEL', key, first)
    end
    first = first + 1
  end
  if total ~= before then redis.call('HSET', key, 'first', first, 'total', total) end
  local today = tonumber(was[4]) == day and tonumber(was[5]) or 0
  held[i] = {first, total, today}
  judge(i, 1, tonumber(ARGV[2 * i - 1]), total, first + 61, last + 61)
  judge(i, 2, tonumber(ARGV[2 * i]), today, midnight, midnight)
end
if not worst then
  for i, key in ipairs(KEYS) do
    local first, total, today = unpack(held[i])
    local forget = 0
    if ARGV[2 * i - 1] ~= '0' then
      redis.call('HINCRBY', key, sec, 1)
      if total == 0 then first = sec end
      redis.call('HSET', key, 'first', first, 'last', sec, 'total', total + 1)
      forget = 62
    end
    if ARGV[2 * i] ~= '0' then
      redis.call('HSET', key, 'day', day, 'today', today + 1)
      forget = math.max(forget, midnight - sec)
    end
    redis.call('EXPIRE', key, forget)
  end
  if tightest[2] == 1 then tightest[6] = sec + 61 end
end
local said = worst or tightest
return {worst and 0 or 1, said[1], said[2], said[3], math.max(0, said[4]),
        math.ceil((said[5] - now) * 1000), math.ceil((said[6] - now) * 1000)}
"""


def admitting(clock: str = "redis.call('TIME')") -> Script:
    """Return the script; `clock` is a Lua expression for seconds since 1970 and microseconds."""
    return Script(_ADMIT.replace("CLOCK", clock))


_BY_ITS_OWN_CLOCK = admitting()


class Shared:
    """Counts in Redis; `alone` counts along, and decides while Redis is away."""

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        alone: Alone,
        *,
        changed: Callable[[bool], None],
        script: Script = _BY_ITS_OWN_CLOCK,
    ) -> None:
        """`prefix` begins the names of what is stored; `changed` is told when it is away (True)."""
        self._redis = redis
        self._prefix = prefix
        self._alone = alone
        self._changed = changed
        self._script = script
        self._is_away = False

    async def admit(self, subjects: tuple[Subject, ...]) -> Verdict:
        """Count a request for all subjects, or for none of them."""
        keys = [self._key(subject) for subject in subjects]
        limits = [n for s in subjects for n in (s.rate.per_minute, s.rate.per_day)]
        try:
            said = await self._redis.run(self._script, keys, limits)
        except StoreUnavailable:
            self._went()
            return self._alone.judge(subjects)
        self._came()
        admitted, subject, span, limit, remaining, retry_ms, reset_ms = said
        if admitted:
            self._alone.note(subjects)
            return Admitted(limit, remaining, reset_ms / 1000)
        scope = subjects[subject - 1].scope
        return Refused(scope, _SPANS[span - 1], limit, retry_ms / 1000, reset_ms / 1000)

    def _key(self, subject: Subject) -> str:
        # a token's subject may be an address, and as long as it likes
        name = hashlib.blake2b(subject.name.encode(), digest_size=16).hexdigest()
        return f"{self._prefix}/{subject.scope}/{name}"

    def _went(self) -> None:
        if not self._is_away:
            self._is_away = True
            self._changed(True)
            _log.warning("limits are kept by each pod for itself", extra={"store": "redis"})

    def _came(self) -> None:
        if self._is_away:
            self._is_away = False
            self._changed(False)
            _log.info("limits are kept by all pods together", extra={"store": "redis"})
