"""The Deployment of an agent, field by field as the design states it."""

from typing import Any

import pytest

from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.plan import metadata
from agentsystem_operator.plan.deployment import build_deployment, spec_of
from tests import builders
from tests.unit.plan import workload

SQLITE = {"sessions": {"store": "SQLite"}}


def deployment(**fields: Any) -> Manifest:
    agent, revision = workload.first(**fields), "0123456789"
    return build_deployment(agent, spec_of(agent, revision), revision=revision)


def pod(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = deployment(**fields).body["spec"]["template"]["spec"]
    return found


def container(**fields: Any) -> dict[str, Any]:
    (found,) = pod(**fields)["containers"]
    return dict(found)


def env(**fields: Any) -> dict[str, Any]:
    return {var["name"]: var.get("value") for var in container(**fields)["env"]}


def mounts(**fields: Any) -> dict[str, str]:
    return {mount["mountPath"]: mount["name"] for mount in container(**fields)["volumeMounts"]}


def test_the_body_is_complete() -> None:
    body = deployment().body

    assert (body["apiVersion"], body["kind"]) == ("apps/v1", "Deployment")
    assert body["metadata"]["name"] == "support--front-a"
    assert body["metadata"]["namespace"] == "shop"
    assert body["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "agentsystem.dev/v1alpha1",
            "kind": "AgentSystem",
            "name": "support",
            "uid": "system-1",
            "controller": True,
        }
    ]
    common = {
        "app.kubernetes.io/name": "agentsystem",
        "app.kubernetes.io/instance": "support",
        "app.kubernetes.io/component": "front",
        "app.kubernetes.io/part-of": "support",
        "app.kubernetes.io/managed-by": "agentsystem-operator",
        "agentsystem.dev/system": "support",
        "agentsystem.dev/agent": "front",
        "agentsystem.dev/slot": "a",
        "agentsystem.dev/revision": "0123456789",
    }
    assert body["metadata"]["labels"] == common
    assert body["spec"]["template"]["metadata"]["labels"] == common


def test_a_rollout_never_takes_a_pod_away_before_the_next_one_serves() -> None:
    spec = dict(deployment().body["spec"])
    del spec["template"]

    assert spec == {
        "minReadySeconds": 5,
        "revisionHistoryLimit": 5,
        "progressDeadlineSeconds": 600,
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "selector": {
            "matchLabels": {
                "agentsystem.dev/system": "support",
                "agentsystem.dev/agent": "front",
                "agentsystem.dev/slot": "a",
            }
        },
    }


def test_replicas_are_stated_at_birth_only_and_are_no_part_of_the_intent() -> None:
    kept = deployment(agents=[builders.agent(replicas=2)])
    born = metadata.born_with(kept, 2)

    assert "replicas" not in kept.body["spec"]
    assert born.body["spec"]["replicas"] == 2
    assert (born.intent, born.ownership) == (kept.intent, kept.ownership)
    assert kept.intent == deployment(agents=[builders.agent(replicas=5)]).intent


@pytest.mark.parametrize(
    ("tier", "pre_stop_s", "grace_s"),
    [("Development", 2, 26), ("Testing", 2, 26), ("Staging", 15, 13), ("Production", 15, 13)],
)
def test_a_pod_serves_on_until_nobody_sends_to_it(tier: str, pre_stop_s: int, grace_s: int) -> None:
    assert pod(tier=tier)["terminationGracePeriodSeconds"] == 30
    assert container(tier=tier)["lifecycle"] == {"preStop": {"sleep": {"seconds": pre_stop_s}}}
    assert env(tier=tier)["AGENT_GRACE_SECONDS"] == str(grace_s)


@pytest.mark.parametrize(
    ("tier", "when"),
    [
        ("Development", "ScheduleAnyway"),
        ("Testing", "ScheduleAnyway"),
        ("Staging", "ScheduleAnyway"),
        ("Production", "DoNotSchedule"),
    ],
)
def test_pods_spread_over_hosts(tier: str, when: str) -> None:
    assert pod(tier=tier)["topologySpreadConstraints"] == [
        {
            "topologyKey": "kubernetes.io/hostname",
            "maxSkew": 1,
            "whenUnsatisfiable": when,
            "labelSelector": {
                "matchLabels": {
                    "agentsystem.dev/system": "support",
                    "agentsystem.dev/agent": "front",
                }
            },
            "matchLabelKeys": ["pod-template-hash"],
            "nodeTaintsPolicy": "Honor",
        }
    ]


def test_pods_leave_a_lost_node_after_ten_seconds() -> None:
    gpu = {"key": "gpu", "operator": "Exists"}
    lost = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 10}
        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    ]

    assert pod()["tolerations"] == lost
    assert pod(runtime={"tolerations": [gpu]})["tolerations"] == [*lost, gpu]


def test_the_users_own_word_on_a_lost_node_wins() -> None:
    patient = {
        "key": "node.kubernetes.io/unreachable",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }

    tolerations = pod(runtime={"tolerations": [patient]})["tolerations"]

    assert [t["tolerationSeconds"] for t in tolerations] == [10, 300]


def test_a_word_on_being_scheduled_there_is_none_on_staying_there() -> None:
    there = {
        "key": "node.kubernetes.io/not-ready",
        "operator": "Exists",
        "effect": "NoSchedule",
    }

    tolerations = pod(runtime={"tolerations": [there]})["tolerations"]

    assert [t.get("tolerationSeconds") for t in tolerations] == [10, 10, None]


def test_probes_never_ask_anyone_else() -> None:
    found = container()

    assert found["startupProbe"]["httpGet"] == {"path": "/ready", "port": "http"}
    assert found["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "http"}
    assert found["livenessProbe"]["httpGet"] == {"path": "/health", "port": "http"}


def test_pod_security_is_restricted() -> None:
    spec = pod()

    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["serviceAccountName"] == "support--front"
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_sessions_on_disk_replace_the_pod_and_mount_its_claim() -> None:
    body = deployment(memory=SQLITE).body

    assert body["spec"]["strategy"] == {"type": "Recreate"}
    assert mounts(memory=SQLITE)["/var/lib/agentsystem"] == "data"
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "support--front"}} in pod(
        memory=SQLITE
    )["volumes"]


def test_the_config_of_the_revision_is_mounted_as_a_directory() -> None:
    found = container()

    assert found["args"] == ["serve", "--config", "/etc/agentsystem/config/config.json"]
    assert mounts() == {"/etc/agentsystem/config": "config", "/tmp": "tmp"}  # noqa: S108
    assert pod()["volumes"][0] == {
        "name": "config",
        "configMap": {"name": "support--front-0123456789"},
    }


def test_a_key_is_a_file_that_may_be_missing() -> None:
    fields = {"providers": [workload.OPENAI, workload.CANNED], "routes": workload.BOTH}

    assert mounts(**fields)["/etc/agentsystem/keys/openai"] == "key-openai"
    assert pod(**fields)["volumes"][-1] == {
        "name": "key-openai",
        "secret": {
            "secretName": "keys",
            "optional": True,
            "items": [{"key": "openai", "path": "key"}],
        },
    }
    assert "subPath" not in container(**fields)["volumeMounts"][-1]


REDIS = {
    "memory": {"sessions": {"store": "Redis"}},
    "stores": {
        "redis": {"host": "redis", "passwordSecretRef": {"name": "stores", "key": "redis"}},
        "postgres": {
            "host": "db",
            "database": "agents",
            "user": "agents",
            "passwordSecretRef": {"name": "stores", "key": "postgres"},
        },
    },
}


def test_the_password_of_a_used_server_is_a_file_that_may_be_missing() -> None:
    assert mounts(**REDIS)["/etc/agentsystem/stores/redis"] == "store-redis"
    assert pod(**REDIS)["volumes"][-1] == {
        "name": "store-redis",
        "secret": {
            "secretName": "stores",
            "optional": True,
            "items": [{"key": "redis", "path": "password"}],
        },
    }
    assert "subPath" not in container(**REDIS)["volumeMounts"][-1]


def test_the_keys_of_sessions_are_a_file_that_may_be_missing() -> None:
    keys = {"name": "session-keys", "key": "fernet"}
    fields = {"guard": {"encryption": {"keysSecretRef": keys}}}

    assert mounts(**fields)["/etc/agentsystem/guard/encryption"] == "encryption"
    assert pod(**fields)["volumes"][-1] == {
        "name": "encryption",
        "secret": {
            "secretName": "session-keys",
            "optional": True,
            "items": [{"key": "fernet", "path": "keys"}],
        },
    }


def test_sessions_in_a_shared_server_need_neither_a_volume_nor_a_single_pod() -> None:
    body = deployment(tier="Production", **REDIS).body

    assert body["spec"]["strategy"]["type"] == "RollingUpdate"
    assert "data" not in mounts(**REDIS).values()


def test_a_declared_server_that_nothing_uses_changes_nothing_of_the_pods() -> None:
    assert pod(stores=REDIS["stores"]) == pod()


def test_a_key_of_a_provider_that_the_route_does_not_use_stays_away() -> None:
    assert "key-openai" not in mounts(providers=[workload.OPENAI, workload.CANNED]).values()


def test_an_agents_own_variables_win_over_the_systems() -> None:
    runtime = {"env": [{"name": "A", "value": "system"}, {"name": "B", "value": "system"}]}
    agent = builders.agent(env=[{"name": "A", "value": "agent"}, {"name": "C"}])

    found = env(runtime=runtime, agents=[agent])

    assert {name: found[name] for name in "ABC"} == {"A": "agent", "B": "system", "C": ""}


@pytest.mark.parametrize(
    ("system", "agent", "want"),
    [
        (
            None,
            None,
            {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
        ),
        ({"limits": {"memory": "1Gi"}}, None, {"limits": {"memory": "1Gi"}}),
        ({"limits": {"memory": "1Gi"}}, {"requests": {"cpu": 2}}, {"requests": {"cpu": 2}}),
    ],
    ids=["default", "of the system", "of the agent, as a whole"],
)
def test_resources(
    system: dict[str, Any] | None, agent: dict[str, Any] | None, want: dict[str, Any]
) -> None:
    runtime = {"resources": system} if system else {}
    more: dict[str, Any] = {"resources": agent} if agent else {}

    assert container(runtime=runtime, agents=[builders.agent(**more)])["resources"] == want


def test_the_stated_image_and_pull_secrets_are_used() -> None:
    runtime = {"image": "registry.example/mine:2", "imagePullSecrets": [{"name": "pull"}]}

    assert container(runtime=runtime)["image"] == "registry.example/mine:2"
    assert pod(runtime=runtime)["imagePullSecrets"] == [{"name": "pull"}]
    assert container()["image"] == "registry.example/agent-runtime:1"
    assert "imagePullSecrets" not in pod()
