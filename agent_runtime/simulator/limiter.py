"""A real rate limit: two token buckets for each key. No clock: whoever asks brings the time.

A bucket holds a minute's worth and fills evenly: 60 a minute is one a second. A request is paid
for with all its tokens when it is accepted; a refused one costs nothing.
"""

from collections import OrderedDict
from dataclasses import dataclass

from agent_runtime.simulator.faults import Limits

MAX_KEYS = 10_000  # the key that was idle longest is forgotten, which fills its buckets

REQUESTS = "requests"
TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Level:
    """One bucket after a request: its size, what is left, when it will be full again."""

    unit: str
    limit: int
    remaining: int
    full_in_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass; `retry_after_s` is None where waiting does not help."""

    refused_by: str | None
    retry_after_s: float | None
    levels: tuple[Level, ...]


_FREE = Verdict(None, None, ())


class _Bucket:
    def __init__(self, unit: str, limit: int, now: float) -> None:
        self.unit, self.limit = unit, limit
        self._level, self._at = float(limit), now

    def fill(self, now: float) -> None:
        gained = (now - self._at) * self.limit / 60
        self._level, self._at = min(float(self.limit), self._level + gained), now

    def wait_s(self, cost: int) -> float:
        """Return the seconds until `cost` is there."""
        return max(0.0, cost - self._level) * 60 / self.limit

    def take(self, cost: int) -> None:
        self._level -= cost

    def level(self) -> Level:
        left = max(0.0, self._level)
        return Level(self.unit, self.limit, int(left), (self.limit - left) * 60 / self.limit)


class Limiter:
    """Counts what each key uses."""

    def __init__(self, limits: Limits) -> None:
        wanted = {REQUESTS: limits.requests_per_minute, TOKENS: limits.tokens_per_minute}
        self._limits = {unit: limit for unit, limit in wanted.items() if limit is not None}
        self._keys: OrderedDict[str, list[_Bucket]] = OrderedDict()

    def ask(self, key: str, tokens: int, now: float) -> Verdict:
        """Take one request of so many tokens from the key's buckets, or from none of them."""
        if not self._limits:
            return _FREE
        buckets = self._buckets(key, now)
        costs = {REQUESTS: 1, TOKENS: tokens}
        short = max(buckets, key=lambda bucket: bucket.wait_s(costs[bucket.unit]))
        wait_s = short.wait_s(costs[short.unit])
        if wait_s <= 0:
            for bucket in buckets:
                bucket.take(costs[bucket.unit])
            return Verdict(None, None, tuple(bucket.level() for bucket in buckets))
        never = costs[short.unit] > short.limit
        levels = tuple(bucket.level() for bucket in buckets)
        return Verdict(short.unit, None if never else wait_s, levels)

    def _buckets(self, key: str, now: float) -> list[_Bucket]:
        buckets = self._keys.get(key)
        if buckets is None:
            buckets = [_Bucket(unit, limit, now) for unit, limit in self._limits.items()]
            self._keys[key] = buckets
            if len(self._keys) > MAX_KEYS:
                self._keys.popitem(last=False)
        self._keys.move_to_end(key)
        for bucket in buckets:
            bucket.fill(now)
        return buckets
