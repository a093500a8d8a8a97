"""Who answers for a `model`: an agent here, a sibling elsewhere, or nobody.

Pure: the whole routing table is decided when the process starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agent_runtime.agents.agent import Agent


@dataclass(frozen=True, slots=True)
class Sibling:
    """An agent of the same system that another pod serves."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """No agent of this name is known here."""

    name: str


@dataclass(frozen=True, slots=True)
class Directory:
    """The agents of a system as one process knows them."""

    system: str
    entry: str
    own: Mapping[str, Agent]
    siblings: Mapping[str, Sibling]

    def find(self, model: str | None) -> Agent | Sibling | Unknown:
        """Return who answers; no model and the system's name both mean the entry.

        A pod that knows no way to the entry is the agent that its caller chose by address.
        """
        if model is not None and (known := self._named(model)):
            return known
        if model not in (None, self.system):
            return Unknown(str(model))
        return self._named(self.entry) or next(iter(self.own.values()))

    def names(self) -> list[str]:
        """Return every agent that can be asked for here, own agents first."""
        return [*self.own, *self.siblings]

    def _named(self, name: str) -> Agent | Sibling | None:
        return self.own.get(name) or self.siblings.get(name)
