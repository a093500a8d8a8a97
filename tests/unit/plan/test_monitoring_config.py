"""`monitoring`: what reaches the runtime, the headers that are mounted, and the way out."""

from typing import Any

import pytest

from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.plan import agent_config, network_policy, pod
from tests import builders
from tests.unit.plan import workload

OTLP: dict[str, Any] = {
    "endpoint": "http://collector.observability.svc:4318",
    "headersSecretRef": {"name": "langsmith", "key": "otlp"},
    "samplingRatio": "0.05",
    "captureContent": True,
}
TRACED = {"monitoring": {"otlp": OTLP}}
RENDERED = {
    "otlp": {
        "endpoint": "http://collector.observability.svc:4318",
        "samplingRatio": 0.05,
        "captureContent": True,
        "headers": {
            "file": "/etc/agentsystem/keys/monitoring.otlp/headers",
            "secretName": "langsmith",
            "secretKey": "otlp",
        },
    }
}


def test_it_is_rendered_with_the_minor_that_knows_it() -> None:
    config = agent_config.of_workload(workload.first(**TRACED))
    assert (config["contract"], config["monitoring"]) == ("v1.1", RENDERED)


def test_who_does_not_use_it_has_neither_key_nor_minor_of_it() -> None:
    unused: tuple[dict[str, Any], ...] = ({}, {"monitoring": {}})
    for fields in unused:
        config = agent_config.of_workload(workload.first(**fields))
        assert config["contract"] == "v1.0"
        assert "monitoring" not in config
        assert "monitoring" not in workload.first(**fields).declared


def test_a_change_of_it_is_a_change_of_what_is_declared() -> None:
    first = workload.first(**TRACED).declared
    other = workload.first(monitoring={"otlp": {**OTLP, "samplingRatio": "0.1"}}).declared
    assert first["monitoring"] != other["monitoring"]


def test_a_laptop_has_the_headers_beside_the_keys_of_the_providers() -> None:
    spec = AgentSystemSpec.model_validate(builders.system("support", "shop", **TRACED)["spec"])
    config = agent_config.render_config(
        spec, {}, key=SystemKey("shop", "support"), defaults=workload.SETTINGS.defaults
    )
    assert config["contract"] == "v1.1"
    assert config["monitoring"]["otlp"]["headers"]["file"] == "keys/monitoring.otlp/headers"


def test_the_headers_are_mounted_where_the_config_says_and_may_come_later() -> None:
    template = pod.build_pod_template(workload.first(**TRACED), revision="r1")["spec"]
    (volume,) = [each for each in template["volumes"] if each["name"] == "otlp-headers"]
    assert volume["secret"] == {
        "secretName": "langsmith",
        "optional": True,
        "items": [{"key": "otlp", "path": "headers"}],
    }
    mounts = template["containers"][0]["volumeMounts"]
    (mount,) = [each for each in mounts if each["name"] == "otlp-headers"]
    assert mount == {
        "name": "otlp-headers",
        "mountPath": "/etc/agentsystem/keys/monitoring.otlp",
        "readOnly": True,
    }


@pytest.mark.parametrize(
    ("endpoint", "rule"),
    [
        (
            "http://collector.observability.svc:4318",
            {
                "to": [
                    {
                        "namespaceSelector": {
                            "matchLabels": {"kubernetes.io/metadata.name": "observability"}
                        }
                    }
                ]
            },
        ),
        (
            "http://192.0.2.7:4318/otlp",
            {
                "to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}],
                "ports": [{"protocol": "TCP", "port": 4318}],
            },
        ),
    ],
)
def test_exactly_the_endpoint_may_be_reached(endpoint: str, rule: dict[str, Any]) -> None:
    traced = workload.first(monitoring={"otlp": {"endpoint": endpoint}})

    def opened(of: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = network_policy.build_network_policy(of).body["spec"]["egress"]
        return found

    without = opened(workload.first())
    assert [each for each in opened(traced) if each not in without] == [rule]
