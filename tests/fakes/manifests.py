"""The manifests that the engine asks for when a system is new: real ones, for every kind."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from agentsystem_operator import engine
from agentsystem_operator.model.actions import Apply, Manifest
from agentsystem_operator.model.evaluation import Evaluation, Reads
from agentsystem_operator.model.observed import Absent, Observed, Remembered, Text
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.model.system import System
from tests import builders

SETTINGS = engine.Settings(default_image="localhost/agent-runtime:dev")
SQLITE = {"sessions": {"store": "SQLite"}}


def spec(**fields: Any) -> dict[str, Any]:
    """A valid spec of one agent."""
    whole: dict[str, Any] = copy.deepcopy(builders.system("x", "y", **fields)["spec"])
    return whole


def wanted(key: SystemKey, uid: str, declared: Mapping[str, Any]) -> list[Manifest]:
    """Return all children of a new system, in the order in which they are applied."""
    system = System(key, uid, 1, deleting=False, spec=declared)
    observed = Observed(children={})
    while True:
        verdict = engine.evaluate(
            system,
            observed,
            remembered=Remembered(),
            settings=SETTINGS,
            now=datetime(2026, 1, 1, tzinfo=UTC),
        )
        if isinstance(verdict, Evaluation):
            applies = [action for action in verdict.actions if isinstance(action, Apply)]
            assert applies
            return [apply.manifest for apply in applies]
        observed = _answer(observed, verdict)


def _answer(observed: Observed, reads: Reads) -> Observed:
    return Observed(
        children={},
        lookups={**observed.lookups, **dict.fromkeys(reads.children, Absent())},
        config_maps={**observed.config_maps, **dict.fromkeys(reads.config_maps, Text({}))},
        cluster_keys='{"keys":[]}' if reads.cluster_keys else observed.cluster_keys,
    )
