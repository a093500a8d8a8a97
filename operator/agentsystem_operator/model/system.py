"""One AgentSystem as it was last seen, unparsed: what the shell hands to the engine.

Everything may import this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentsystem_operator.model.references import SystemKey


@dataclass(frozen=True, slots=True)
class System:
    """Identity, declaration and last written status of one AgentSystem."""

    key: SystemKey
    uid: str
    generation: int
    deleting: bool
    spec: Any
    """As in the cluster; the engine parses it, so that a wrong one becomes a condition."""
    status: Mapping[str, Any] = field(default_factory=dict)
