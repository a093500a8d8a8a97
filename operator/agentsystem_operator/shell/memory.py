"""What is kept in memory about each system between passes. All of it may be lost at any time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from agentsystem_operator.model.observed import Remembered
from agentsystem_operator.model.references import Ref, SystemKey
from agentsystem_operator.model.system import System

SUSPECTS_MAX = 64
"""Objects per system that are read anew in the next pass; more than that failed at once never."""


@dataclass(slots=True)
class Notes:
    """Notes about one system, as long as it is the same object."""

    uid: str
    remembered: Remembered = field(default_factory=Remembered)
    retry_at: float = 0.0
    """When refused manifests are sent again, on the monotonic clock."""
    suspects: set[Ref] = field(default_factory=set)
    """Objects that were not what the cache said: read before the next judgement."""
    acted: int = 0
    """Passes in a row that wrote something."""
    status_hash: str = ""
    status_version: str = ""
    """Hash of the status that we wrote last, and the version of the object that this made."""
    conditions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    announced: dict[int, float] = field(default_factory=dict)
    """When which Event was sent last, on the monotonic clock; see the announcer."""

    def forget_refusals(self) -> None:
        """Let refused manifests be sent again."""
        self.remembered = replace(self.remembered, refused={})


class Memory:
    """The notes by key, and how many systems have each condition."""

    def __init__(self) -> None:
        self._notes: dict[SystemKey, Notes] = {}
        self.counts: dict[tuple[str, str], int] = {}

    def __iter__(self) -> Iterator[SystemKey]:
        return iter(list(self._notes))

    def of(self, system: System) -> Notes:
        """Return the notes about a system; new ones when it is another object than before."""
        notes = self._notes.get(system.key)
        if notes is None or notes.uid != system.uid:
            self.forget(system.key)
            notes = self._notes[system.key] = Notes(system.uid)
        return notes

    def forget(self, key: SystemKey) -> None:
        """Drop the notes about a system."""
        notes = self._notes.pop(key, None)
        if notes is not None:
            self._count(notes.conditions, -1)

    def judged(self, notes: Notes, conditions: Mapping[str, tuple[str, str]]) -> None:
        """Take the conditions of a system's last pass."""
        self._count(notes.conditions, -1)
        notes.conditions = conditions
        self._count(conditions, 1)

    def _count(self, conditions: Mapping[str, tuple[str, str]], by: int) -> None:
        for condition, (status, _) in conditions.items():
            self.counts[condition, status] = self.counts.get((condition, status), 0) + by
