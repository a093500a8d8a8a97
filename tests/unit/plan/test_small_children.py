"""The children that are made beside the Deployment."""

from agentsystem_operator.plan.config_map import build_config_map
from agentsystem_operator.plan.persistent_volume_claim import build_persistent_volume_claim
from agentsystem_operator.plan.pod_disruption_budget import build_pod_disruption_budget
from agentsystem_operator.plan.service import build_entry_service, build_service
from agentsystem_operator.plan.service_account import build_service_account
from tests.unit.plan import workload

SELECTOR = {"agentsystem.dev/system": "support", "agentsystem.dev/agent": "front"}


def test_a_service_selects_without_slot() -> None:
    body = build_service(workload.first()).body

    assert body["metadata"]["name"] == "support--front"
    assert body["spec"] == {
        "type": "ClusterIP",
        "selector": SELECTOR,
        "ports": [
            {"name": "http", "port": 8000, "protocol": "TCP", "targetPort": "http"},
            {"name": "metrics", "port": 9000, "protocol": "TCP", "targetPort": "metrics"},
        ],
    }


def test_the_entry_service_has_the_systems_name_and_the_entrys_pods() -> None:
    body = build_entry_service(workload.first()).body

    assert body["metadata"]["name"] == "support"
    assert body["metadata"]["labels"]["app.kubernetes.io/component"] == "system"
    assert "agentsystem.dev/agent" not in body["metadata"]["labels"]
    assert body["spec"]["selector"] == SELECTOR
    assert [port["port"] for port in body["spec"]["ports"]] == [8000]


def test_a_drain_takes_one_pod_at_a_time_and_broken_ones_at_once() -> None:
    assert build_pod_disruption_budget(workload.first()).body["spec"] == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": SELECTOR},
    }


def test_a_service_account_has_no_token() -> None:
    assert build_service_account(workload.first()).body["automountServiceAccountToken"] is False


def test_a_config_map_is_immutable_and_named_by_its_revision() -> None:
    body = build_config_map(workload.first(), revision="0123456789", config="{}").body

    assert body["metadata"]["name"] == "support--front-0123456789"
    assert body["metadata"]["labels"]["agentsystem.dev/revision"] == "0123456789"
    assert (body["immutable"], body["data"]) == (True, {"config.json": "{}"})


def test_a_claim_is_nobodys_child() -> None:
    sqlite = {"size": "2Gi", "storageClassName": "fast"}
    manifest = build_persistent_volume_claim(
        workload.first(memory={"sessions": {"store": "SQLite", "sqlite": sqlite}})
    )

    assert manifest is not None
    assert manifest.body["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "2Gi"}},
        "storageClassName": "fast",
    }
    assert "ownerReferences" not in manifest.body["metadata"]
    assert manifest.body["metadata"]["labels"]["agentsystem.dev/agent"] == "front"


def test_a_claim_leaves_size_and_class_to_their_defaults() -> None:
    manifest = build_persistent_volume_claim(workload.first(tier="Testing"))

    assert manifest is not None
    assert manifest.body["spec"]["resources"] == {"requests": {"storage": "1Gi"}}
    assert "storageClassName" not in manifest.body["spec"]


def test_sessions_in_memory_need_no_claim() -> None:
    assert build_persistent_volume_claim(workload.first()) is None


def test_a_claim_is_not_taken_for_a_part_of_an_application_of_the_system_s_name() -> None:
    """Argo CD would remove it: no owner, not in the repository, and its label names the app."""
    manifest = build_persistent_volume_claim(workload.first(tier="Testing"))
    assert manifest
    labels = manifest.body["metadata"]["labels"]
    assert "app.kubernetes.io/instance" not in labels
    assert labels["agentsystem.dev/system"] == "support"
