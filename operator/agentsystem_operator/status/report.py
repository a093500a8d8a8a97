"""What a status is made from: one value per system, one row per agent, nothing but conclusions.

Imported by the other modules of `status` and by the engine.
"""

from dataclasses import dataclass
from datetime import datetime

from agentsystem_operator.decide import rollout
from agentsystem_operator.decide.pins import HeldBack
from agentsystem_operator.decide.providers import Outlook
from agentsystem_operator.decide.references import Fault
from agentsystem_operator.decide.rollout import Stage
from agentsystem_operator.model.observed import Rollout


@dataclass(frozen=True, slots=True)
class Row:
    """One agent."""

    name: str
    desired: int
    live: Rollout | None
    revision: str
    """What its pods should be of; "" when that cannot be told."""
    stage: Stage
    claim: str | None = None
    node: str = ""
    """Which node the claim's volume was made for, "" when for none or it has no claim."""
    held_back: tuple[HeldBack, ...] | None = None
    """What waits for the agent's next change; None when that cannot be told."""

    @property
    def enough(self) -> bool:
        """Whether it can answer."""
        return rollout.has_enough(self.live, self.desired)

    @property
    def complete(self) -> bool:
        """Whether it has every pod that it should have."""
        return rollout.has_all(self.live, self.desired)

    @property
    def called(self) -> str:
        """Its name, with what ties it to one node if it stands still without its pod.

        In a rollout the name alone: there the node may become known while the text is shown.
        """
        tied = self.claim and self.node and self.stage in (Stage.DONE, Stage.OVERDUE)
        if not tied or self.enough:
            return self.name
        return f"{self.name} (needs its volume {self.claim}, made for node {self.node})"

    @property
    def short_since(self) -> datetime | None:
        """Since when it has had too few pods outside a rollout, None when it has not."""
        live = self.live
        if live is None or self.stage in (Stage.ROLLING, Stage.OVERDUE):
            return None
        return live.unavailable_since if live.available < live.wanted else None


@dataclass(frozen=True, slots=True)
class Report:
    """One system, as judged in one pass."""

    generation: int
    paused: bool
    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]
    """What stands in the way outside the spec or in it; empty when the config is valid."""
    doubt: str
    """What could not be read, "" when everything was."""
    desired: str
    active: str
    """Revisions of the whole system, "" when there is none."""
    now: datetime
    outlook: Outlook | None = None
    """How the providers are; None when the operator has no channel."""

    @property
    def is_reached(self) -> bool:
        """Whether every agent has been rolled out to what is desired."""
        return self.active == self.desired
