"""What one request cost and how its answer came about, filled in by the wrappers on its way.

Made where a request comes in, and read there again for headers and logs; holds no text of it.
"""

from enum import StrEnum


class Cache(StrEnum):
    """How the answer cache took part: what the header `x-agentsystem-cache` says."""

    HIT = "hit"  # this process knew the answer
    SHARED = "hit-shared"  # another one did, and had left it in Redis
    STALE = "hit-stale"  # its time was over, but the budget allows nothing better
    JOINED = "hit-joined"  # somebody was asking the same at that moment
    MISS = "miss"  # a model was asked
    BYPASS = "bypass"  # a model was asked, and nothing was looked up: tools, or as the caller wants

    @property
    def is_hit(self) -> bool:
        """Whether no model was asked for this request."""
        return self not in (Cache.MISS, Cache.BYPASS)


class Receipt:
    """Of one request; its providers, their retries and fallbacks add to it."""

    __slots__ = (
        "cache", "cost_nano", "degraded", "estimated", "may_look", "may_share", "session", "tenant",
        "unpriced",
    )  # fmt: skip

    def __init__(self, *, tenant: str = "", session: str = "") -> None:
        self.tenant = tenant
        self.session = session
        self.cost_nano = 0
        """What is known to be charged so far."""
        self.estimated = False
        """Whether some of it is an estimate of ours."""
        self.unpriced = False
        """Whether something was answered by a model whose price is unknown."""
        self.cache: Cache | None = None
        """What the cache did; None without one."""
        self.degraded: str | None = None
        """What the answer lacks because the budget is low: a `cost.levels.Level`; None: nothing."""
        self.may_look = True
        """Whether the caller takes an answer that was given before."""
        self.may_share = True
        """Whether others who ask the same may be given this answer. Whoever made it good for this
        request alone says so before its end: a rule about people's data, a cheaper model."""
