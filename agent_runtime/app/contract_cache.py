"""The part `cache` of the rendered config (v1.1): answers that are given again."""

from typing import Annotated

from pydantic import Field

from agent_runtime.problems import Strict

MAX_TTL_SECONDS = 7 * 86_400


class CacheEntry(Strict):
    """For how long, and how many; in Redis too if `stores.redis` is there."""

    ttl_seconds: Annotated[float, Field(ge=1, le=MAX_TTL_SECONDS, allow_inf_nan=False)] = Field(
        600.0, alias="ttlSeconds"
    )
    max_entries: Annotated[int, Field(ge=1, le=100_000)] = Field(10_000, alias="maxEntries")
