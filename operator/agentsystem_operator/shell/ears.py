"""What a pass may look at besides its caches: what pods say, and who the operator is to them."""

from collections.abc import Callable
from dataclasses import dataclass

from agentsystem_operator.model.heard import Heard
from agentsystem_operator.model.references import SystemKey


@dataclass(frozen=True, slots=True)
class Ears:
    """The channel, as far as a pass needs it."""

    of: Callable[[SystemKey], Heard]
    """What the pods of a system say."""
    bundle: Callable[[], str]
    """The certificates that pods trust, "" while they are not known."""
