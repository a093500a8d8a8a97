"""Which fields the apiserver records as ours; the shapes were read from a real one."""

from typing import Any

import pytest

from agentsystem_operator.model import ownership
from agentsystem_operator.model.references import Kind

METADATA = {
    "name": "support--front",
    "namespace": "shop",
    "labels": {"agentsystem.dev/system": "support"},
    "annotations": {"agentsystem.dev/intent": "0"},
    "ownerReferences": [
        {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "u-1", "controller": True}
    ],
}
OWNED_METADATA: dict[str, Any] = {
    "f:labels": {"f:agentsystem.dev/system": {}},
    "f:annotations": {"f:agentsystem.dev/intent": {}},
    "f:ownerReferences": {'k:{"uid":"u-1"}': {}},
}


def body(**content: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "X", "metadata": METADATA, **content}


def owned(kind: Kind, **content: Any) -> dict[str, Any]:
    """Return what is owned below metadata."""
    fields = ownership.owned_fields(kind, body(**content))
    assert fields.pop("f:metadata") == OWNED_METADATA
    return fields


def test_list_items_of_a_service_are_told_apart_by_port_and_protocol() -> None:
    port = {"name": "http", "port": 8000, "protocol": "TCP", "targetPort": "http"}

    spec = {"type": "ClusterIP", "selector": {"a": "b"}, "ports": [port]}

    assert owned(Kind.SERVICE, spec=spec) == {
        "f:spec": {
            "f:type": {},
            "f:selector": {},
            "f:ports": {
                'k:{"port":8000,"protocol":"TCP"}': {
                    ".": {},
                    "f:name": {},
                    "f:port": {},
                    "f:protocol": {},
                    "f:targetPort": {},
                }
            },
        }
    }


def test_a_policy_owns_its_rules_and_its_selector_as_a_whole() -> None:
    spec = {"podSelector": {"matchLabels": {"a": "b"}}, "egress": [{"ports": [{"port": 53}]}]}

    assert owned(Kind.NETWORK_POLICY, spec=spec) == {
        "f:spec": {"f:podSelector": {}, "f:egress": {}}
    }


def test_data_of_a_config_map_is_owned_by_key_and_of_a_revision_as_a_whole() -> None:
    data = {"config.json": "{}", "agents": []}

    assert owned(Kind.CONFIG_MAP, data=data) == {"f:data": {"f:config.json": {}, "f:agents": {}}}
    assert owned(Kind.CONTROLLER_REVISION, data=data) == {"f:data": {}}


def test_a_pod_template_is_owned_field_by_field() -> None:
    container = {
        "name": "agent",
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [{"containerPort": 8000, "protocol": "TCP"}],
        "resources": {"limits": {"memory": "1Gi"}},
        "securityContext": {"capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "containers": [container],
        "imagePullSecrets": [{"name": "pull"}],
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }

    fields = owned(Kind.DEPLOYMENT, spec={"replicas": 3, "template": {"spec": pod}})

    assert fields["f:spec"]["f:template"]["f:spec"] == {
        "f:containers": {
            'k:{"name":"agent"}': {
                ".": {},
                "f:name": {},
                "f:env": {
                    'k:{"name":"POD_NAME"}': {
                        ".": {},
                        "f:name": {},
                        "f:valueFrom": {"f:fieldRef": {}},
                    }
                },
                "f:ports": {
                    'k:{"containerPort":8000,"protocol":"TCP"}': {
                        ".": {},
                        "f:containerPort": {},
                        "f:protocol": {},
                    }
                },
                "f:resources": {"f:limits": {"f:memory": {}}},
                "f:securityContext": {"f:capabilities": {"f:drop": {}}},
            }
        },
        "f:imagePullSecrets": {'k:{"name":"pull"}': {}},
        "f:tolerations": {},
        "f:volumes": {'k:{"name":"tmp"}': {".": {}, "f:name": {}, "f:emptyDir": {}}},
    }


def test_replicas_are_left_out_on_both_sides() -> None:
    live: dict[str, Any] = {"f:spec": {"f:replicas": {}, "f:minReadySeconds": {}}}

    assert owned(Kind.DEPLOYMENT, spec={"replicas": 3}) == {"f:spec": {}}
    assert ownership.of_live(Kind.DEPLOYMENT, live) == ownership.digest(
        {"f:spec": {"f:minReadySeconds": {}}}
    )


@pytest.mark.parametrize("taken", ["f:type", "f:selector", "f:ports"])
def test_the_digest_tells_that_a_field_was_taken(taken: str) -> None:
    mine = ownership.owned_fields(
        Kind.SERVICE, body(spec={"type": "ClusterIP", "selector": {}, "ports": []})
    )
    left = {**mine, "f:spec": {k: v for k, v in mine["f:spec"].items() if k != taken}}

    assert ownership.digest(left) != ownership.digest(mine)


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert ownership.digest({"f:a": {}, "f:b": {}}) == ownership.digest({"f:b": {}, "f:a": {}})
