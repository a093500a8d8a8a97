"""What is limited, and what a counter answers. Plain values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Scope(StrEnum):
    """Whose requests are counted together; a label of `agent_limit_refusals_total`."""

    KEY = "key"  # of one API key, or of one subject of tokens
    TENANT = "tenant"  # of all callers of one tenant
    AGENT = "agent"  # to one agent, whoever asks


class Span(StrEnum):
    """Which of its limits; the other label."""

    MINUTE = "requests_per_minute"  # in any 60 s
    DAY = "requests_per_day"  # from midnight to midnight, UTC


@dataclass(frozen=True, slots=True)
class Rate:
    """The limits of a scope; 0 is no limit."""

    per_minute: int = 0
    per_day: int = 0

    def limit(self, span: Span) -> int:
        """Return one of the two."""
        return self.per_minute if span is Span.MINUTE else self.per_day


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody or something whose requests are counted."""

    scope: Scope
    name: str
    rate: Rate


@dataclass(frozen=True, slots=True)
class Admitted:
    """The request was counted; the figures are those of the limit with the least left."""

    limit: int
    remaining: int
    reset_s: float
    """Until all of it is left again, if nobody asks."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The request was counted nowhere; the figures are those of the limit with the longest wait."""

    scope: Scope
    span: Span
    limit: int
    retry_after_s: float
    reset_s: float


Verdict = Admitted | Refused


class Counter(Protocol):
    """Counts requests."""

    async def admit(self, subjects: tuple[Subject, ...]) -> Verdict:
        """Count a request for all subjects, or for none of them."""
        ...
