"""`guard.pii`: what reaches the runtime, and the key that is mounted for it."""

from typing import Any

from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.plan import agent_config, pod
from tests import builders
from tests.unit.plan import workload

PII: dict[str, Any] = {
    "keySecretRef": {"name": "privacy", "key": "k1"},
    "kinds": [
        {"kind": "Email", "policy": "Mask", "restore": True},
        {"kind": "IDCard", "policy": "Block", "restore": False},
    ],
    "patterns": [{"name": "employee", "pattern": r"EMP-\d{4}", "policy": "Hash"}],
}
GUARD = {"guard": {"pii": PII}}
RENDERED = {
    "pii": {
        "key": {
            "file": "/etc/agentsystem/keys/guard.pii/key",
            "secretName": "privacy",
            "secretKey": "k1",
        },
        "kinds": [
            {"kind": "Email", "policy": "Mask", "restore": True},
            {"kind": "IDCard", "policy": "Block"},
        ],
        "patterns": [{"name": "employee", "pattern": r"EMP-\d{4}", "policy": "Hash"}],
    }
}


def test_it_is_rendered_with_the_minor_that_knows_it() -> None:
    config = agent_config.of_workload(workload.first(**GUARD))
    assert (config["contract"], config["guard"]) == ("v1.1", RENDERED)


def test_who_does_not_use_it_has_neither_key_nor_minor_of_it() -> None:
    unused: tuple[dict[str, Any], ...] = ({}, {"guard": {}})
    for fields in unused:
        config = agent_config.of_workload(workload.first(**fields))
        assert config["contract"] == "v1.0"
        assert "guard" not in config
        assert "guard" not in workload.first(**fields).declared


def test_a_change_of_it_is_a_change_of_what_is_declared() -> None:
    """Else the pods would keep the policy of the day before."""
    blocking = {**PII, "kinds": [{"kind": "Email", "policy": "Block"}]}
    first = workload.first(**GUARD).declared
    assert first["guard"] != workload.first(guard={"pii": blocking}).declared["guard"]


def test_a_laptop_has_the_key_beside_those_of_the_providers() -> None:
    spec = AgentSystemSpec.model_validate(builders.system("support", "shop", **GUARD)["spec"])
    defaults = workload.SETTINGS.defaults
    config = agent_config.render_config(
        spec, {}, key=SystemKey("shop", "support"), defaults=defaults
    )
    assert config["guard"]["pii"]["key"]["file"] == "keys/guard.pii/key"


def test_the_key_is_mounted_where_the_config_says_and_may_come_later() -> None:
    template = pod.build_pod_template(workload.first(**GUARD), revision="r1")["spec"]
    (volume,) = [each for each in template["volumes"] if each["name"] == "pii-key"]
    assert volume["secret"] == {
        "secretName": "privacy",
        "optional": True,
        "items": [{"key": "k1", "path": "key"}],
    }
    (mount,) = [m for m in template["containers"][0]["volumeMounts"] if m["name"] == "pii-key"]
    assert mount["mountPath"] == "/etc/agentsystem/keys/guard.pii"
    assert mount["readOnly"]
    assert "subPath" not in mount
