"""What pods said over the channel in the last seconds, as values.

Filled by the shell, judged by `decide.providers`; nothing here was taken from a message but what
a pod may say about itself. Everything may import this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from agentsystem_operator.api.reasons import BudgetState, ProviderState
from agentsystem_operator.model.references import SystemKey


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who is at the other end: proved by a token, never by a message (I14)."""

    system: SystemKey
    agent: str
    pod: str
    """The pod's uid: a StatefulSet's or a restarted pod's name may come again."""


@dataclass(frozen=True, slots=True)
class Statement:
    """How one pod finds one provider."""

    state: ProviderState
    reason: str = ""
    """The class of the last failure, a word of the runtime's closed set; "" when healthy."""
    recent: bool = False
    """Whether the pod asked it within the last half minute: older evidence yields to newer."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which provider one pod uses on one route."""

    active: str
    """"" when each of the chain is down."""
    recent: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """How busy one pod is; None is not known, and never 0 (I1)."""

    in_flight: int | None = None
    queue_depth: int | None = None
    oldest_s: float | None = None
    rate_per_s: float | None = None
    p95_s: float | None = None
    tokens_per_s: float | None = None
    sessions: int | None = None
    saturation: float | None = None
    """Share of what the pod can hold at once that is in use, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one pod says of the providers and routes that it uses, and of the budget."""

    providers: Mapping[str, Statement] = field(default_factory=dict)
    routes: Mapping[str, Choice] = field(default_factory=dict)
    budget: BudgetState | None = None
    """None where there is no budget."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What all pods of one system said: how many of them said what."""

    listening_since: datetime
    """Since when anybody could be heard: before that, silence means nothing."""
    providers: Mapping[str, Mapping[Statement, int]] = field(default_factory=dict)
    routes: Mapping[str, Mapping[Choice, int]] = field(default_factory=dict)
    budget: Mapping[BudgetState, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unrest:
    """What one pass hands to the next about one judgement; losing it costs a few writes."""

    better_since: datetime | None = None
    """Since when it has been better than what is shown; None while it is not."""
    falls: int = 0
    fell_at: datetime | None = None
