"""What is read from live objects, and what is not believed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from agentsystem_operator.adapters import projections
from agentsystem_operator.model import names
from agentsystem_operator.model.observed import NOT_OURS, Child, RevisionRecord, Rollout
from agentsystem_operator.model.references import Kind


def rollout(*conditions: dict[str, Any]) -> Rollout:
    body = {"metadata": {"name": "d", "namespace": "shop"}, "status": {"conditions": conditions}}
    found = projections.decoder(Kind.DEPLOYMENT)(orjson.dumps(body)).rollout
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("reason", "moving", "late"),
    [
        ("NewReplicaSetCreated", True, False),
        ("ReplicaSetUpdated", True, False),
        ("ProgressDeadlineExceeded", True, True),
        ("NewReplicaSetAvailable", False, False),
    ],
)
def test_a_rollout_goes_on_until_its_controller_calls_it_complete(
    reason: str, *, moving: bool, late: bool
) -> None:
    found = rollout({"type": "Progressing", "status": "True", "reason": reason})
    assert (found.moving, found.deadline_exceeded) == (moving, late)


def test_a_deployment_that_says_nothing_moves_not_and_lacks_nothing() -> None:
    found = rollout()
    assert (found.moving, found.deadline_exceeded, found.unavailable_since) == (False, False, None)


def test_pods_are_missing_since_the_condition_became_false() -> None:
    lacking = {"type": "Available", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    want = datetime(2026, 1, 1, tzinfo=UTC)
    assert rollout({**lacking, "status": "False"}).unavailable_since == want
    assert rollout({**lacking, "status": "True"}).unavailable_since is None
    odd = {**lacking, "status": "False", "lastTransitionTime": "?"}
    assert rollout(odd).unavailable_since is None


def written_by(manager: str, body: dict[str, Any]) -> Child:
    """A live ControllerRevision whose intent and number belong to a manager."""
    fields: dict[str, Any] = {
        "f:metadata": {"f:annotations": {f"f:{names.INTENT}": {}}},
        "f:revision": {},
    }
    entry = {"manager": manager, "operation": "Apply", "fieldsV1": fields}
    live = {**body, "metadata": {**body["metadata"], "managedFields": [entry]}}
    return projections.decoder(Kind.CONTROLLER_REVISION)(orjson.dumps(live))


def test_an_intent_and_a_number_that_somebody_else_wrote_count_for_nothing() -> None:
    """The revision comes from the name, which nobody can change."""
    body = {
        "metadata": {
            "name": "support--0123456789",
            "namespace": "shop",
            "annotations": {names.INTENT: "abc"},
            "labels": {names.REVISION: "tampered"},
        },
        "revision": 7,
        "data": {},
    }
    ours, theirs = written_by("agentsystem", body), written_by("kubectl-edit", body)
    assert (ours.intent, ours.record) == ("abc", RevisionRecord("0123456789", 7, {}))
    assert (theirs.intent, theirs.record) == ("", RevisionRecord("0123456789", NOT_OURS, {}))
