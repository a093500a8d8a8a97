"""What kstatus says of a custom resource, by the rules that it documents.

Of kubernetes-sigs/cli-utils, package kstatus: deletion first, then observedGeneration, then the
conditions Reconciling and Stalled, then Ready; an object without any of them counts as Current.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IN_PROGRESS, FAILED, CURRENT, TERMINATING = "InProgress", "Failed", "Current", "Terminating"


def judged(obj: Mapping[str, Any]) -> str:
    """Return the status of a custom resource."""
    meta, status = obj["metadata"], obj.get("status", {})
    if meta.get("deletionTimestamp"):
        return TERMINATING
    seen = status.get("observedGeneration")
    if seen is not None and seen != meta.get("generation"):
        return IN_PROGRESS
    conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
    if conditions.get("Reconciling") == "True":
        return IN_PROGRESS
    if conditions.get("Stalled") == "True":
        return FAILED
    return CURRENT if conditions.get("Ready", "True") == "True" else IN_PROGRESS
