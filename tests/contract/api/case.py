"""What one row of the table of good and bad resources is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.contract.api import resources


@dataclass(frozen=True, slots=True)
class Case:
    """One resource: what differs from the smallest valid one, and which fields are wrong.

    `wrong` is in Kubernetes' notation; a case without any is a good resource. `says` is part of
    what both judges must say: it stands where a rule of ours, not the schema, refuses.
    """

    id: str
    changes: Mapping[str, Any]
    wrong: tuple[str, ...] = ()
    says: str = ""

    def body(self) -> resources.Body:
        """Return the whole resource."""
        return resources.changed(self.changes)


def good(name: str, changes: Mapping[str, Any]) -> Case:
    """Return a resource that both judges accept."""
    return Case(name, changes)


def bad(name: str, changes: Mapping[str, Any], *wrong: str, says: str = "") -> Case:
    """Return a resource that both judges refuse, blaming these fields."""
    return Case(name, changes, wrong, says)
