"""What the engine answers: either what it must know first, or what to do and to report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from agentsystem_operator.model.actions import Action
from agentsystem_operator.model.observed import Remembered
from agentsystem_operator.model.references import Ref


class EventType(StrEnum):
    """The two types that Kubernetes knows."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event about the AgentSystem; the shell sends equal ones once."""

    type: EventType
    reason: str
    message: str
    action: str
    """What the operator did or tried, CamelCase (events.k8s.io/v1 `action`)."""


@dataclass(frozen=True, slots=True)
class Reads:
    """The engine needs these reads before it can judge; nothing is written meanwhile."""

    children: frozenset[Ref] = frozenset()
    config_maps: frozenset[str] = frozenset()
    cluster_keys: bool = False
    """The keys with which the cluster signs service-account tokens."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcome of one pass."""

    actions: tuple[Action, ...]
    """In order; a later one may rely on an earlier one having happened."""
    status: Mapping[str, Any] | None
    """The complete wanted `.status`, or None when what stands there need not change."""
    events: tuple[Event, ...]
    look_again: datetime | None
    """Latest time of the next pass without any event."""
    remembered: Remembered
    references: frozenset[str]
    """Names of the user's ConfigMaps whose change must trigger a pass."""
    conditions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Condition type -> (status, reason), for logs and metrics."""
