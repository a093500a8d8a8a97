"""What is read from live objects: conditions, who wrote it, and what is not believed."""

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


def managed(manager: str, at: int, *, operation: str = "Update", sub: str = "") -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": operation,
        "subresource": sub,
        "time": f"2026-01-01T00:00:{at:02}Z",
        "fieldsV1": {"f:spec": {}},
    }


def claimants(*entries: dict[str, Any]) -> list[str]:
    metadata = {"name": "d", "namespace": "shop", "managedFields": entries}
    child = projections.decoder(Kind.SERVICE)(orjson.dumps({"metadata": metadata}))
    return [claim.manager for claim in child.claims]


OURS = managed("agentsystem", 30, operation="Apply")


def test_only_those_who_wrote_since_our_last_apply_are_kept() -> None:
    found = claimants(
        OURS,
        managed("argocd-controller", 10, operation="Apply"),
        managed("kubectl-edit", 31),
        managed("kube-controller-manager", 40, sub="status"),
        managed("agentsystem-scale", 40, operation="Apply", sub="scale"),
        managed("agentsystem", 40),
    )
    assert found == ["kubectl-edit"]


def test_whoever_took_everything_from_us_is_kept() -> None:
    assert claimants(managed("kubectl-edit", 5)) == ["kubectl-edit"]


def test_the_newest_claims_are_kept_and_an_oversized_one_is_not() -> None:
    many = [managed(f"m{number}", 31 + number) for number in range(9)]
    assert claimants(OURS, *many) == ["m5", "m6", "m7", "m8"]
    huge = {**managed("huge", 50), "fieldsV1": {f"f:{number}": {} for number in range(2000)}}
    assert claimants(OURS, huge) == []


def test_a_write_of_the_scale_subresource_has_no_time_and_is_kept() -> None:
    scaled = managed("kubectl", 0, sub="scale")
    del scaled["time"]
    assert claimants(OURS, scaled) == ["kubectl"]


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
