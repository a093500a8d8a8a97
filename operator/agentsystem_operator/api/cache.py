"""`spec.cache`: answers that are given again to whoever asks the same."""

from typing import Annotated, ClassVar

from pydantic import Field

from agentsystem_operator.api import rules, types
from agentsystem_operator.api.base import ApiModel


class Cache(ApiModel):
    """Answers that are kept and given again, within a tenant and a revision.

    They are found by all that reaches a model; what has to do with tools is never kept.
    """

    ttl: types.Duration = "10m"
    """How long an answer is given again, 1s to 168h."""
    max_entries: Annotated[int, types.Strict(), Field(ge=1, le=100_000)] = 10_000
    """Answers that each pod keeps, in 32 MiB at most; the least recently used go first. All pods
    share theirs if there is spec.stores.redis."""

    RULES: ClassVar = (rules.between("ttl", "1s", "168h"),)
