"""What is read from a live Deployment's conditions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from agentsystem_operator.adapters import projections
from agentsystem_operator.model.observed import Rollout
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


@pytest.mark.parametrize(
    ("kind", "node"), [(Kind.PERSISTENT_VOLUME_CLAIM, "node-2"), (Kind.SERVICE, "")]
)
def test_only_a_claim_has_a_node_that_its_volume_was_made_for(kind: Kind, node: str) -> None:
    annotations = {"volume.kubernetes.io/selected-node": "node-2"}
    body = {"metadata": {"name": "c", "namespace": "shop", "annotations": annotations}}
    assert projections.decoder(kind)(orjson.dumps(body)).node == node


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
