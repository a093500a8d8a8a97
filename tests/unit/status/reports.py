"""Reports to judge, with what a test does not care about filled in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agentsystem_operator.decide.rollout import Stage
from agentsystem_operator.model.observed import ReplicasOwner, Rollout
from agentsystem_operator.status.report import Report, Row

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def pods(wanted: int = 1, available: int | None = None, **fields: Any) -> Rollout:
    """A Deployment whose pods are all of the wanted revision."""
    there = wanted if available is None else available
    whole: dict[str, Any] = {
        "generation": 1,
        "observed_generation": 1,
        "wanted": wanted,
        "replicas": wanted,
        "updated": wanted,
        "ready": there,
        "available": there,
        "replicas_owner": ReplicasOwner.SCALE,
        "revision": "r1",
        "deadline_exceeded": False,
        "unavailable_since": None,
        **fields,
    }
    return Rollout(**whole)


def row(name: str = "front", **fields: Any) -> Row:
    """An agent that has all its pods."""
    whole: dict[str, Any] = {
        "name": name,
        "desired": 1,
        "live": pods(),
        "revision": "r1",
        "stage": Stage.DONE,
        **fields,
    }
    return Row(**whole)


def report(*rows: Row, **fields: Any) -> Report:
    """A system that is as declared."""
    whole: dict[str, Any] = {
        "generation": 3,
        "paused": False,
        "rows": rows or (row(),),
        "faults": (),
        "doubt": "",
        "desired": "s1",
        "active": "s1",
        "now": NOW,
        **fields,
    }
    return Report(**whole)
