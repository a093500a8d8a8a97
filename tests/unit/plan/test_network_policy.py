"""Who may reach an agent, and where it may connect to."""

from typing import Any

import pytest

from agentsystem_operator.plan import network_policy
from agentsystem_operator.plan.network_policy import build_network_policy
from tests import builders
from tests.unit.plan import workload

SIBLINGS = {"podSelector": {"matchLabels": {"agentsystem.dev/system": "support"}}}
HTTP = {"protocol": "TCP", "port": 8000}
TEAM = {"agents": [builders.agent("front"), builders.agent("research")]}
DNS = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
METRICS = {"from": [{"namespaceSelector": {}}], "ports": [{"protocol": "TCP", "port": 9000}]}
GATEWAY = {"namespaceSelector": {"matchLabels": {"team": "edge"}}}
PUBLIC = [
    {
        "ipBlock": {
            "cidr": "0.0.0.0/0",
            "except": [
                "10.0.0.0/8",
                "100.64.0.0/10",
                "127.0.0.0/8",
                "169.254.0.0/16",
                "172.16.0.0/12",
                "192.168.0.0/16",
            ],
        }
    },
    {"ipBlock": {"cidr": "::/0", "except": ["fc00::/7", "fe80::/10"]}},
]


def policy(agent: int, **fields: Any) -> dict[str, Any]:
    spec: dict[str, Any] = build_network_policy(workload.system(**fields)[agent]).body["spec"]
    return spec


def in_namespace(name: str) -> dict[str, Any]:
    selector = {"matchLabels": {"kubernetes.io/metadata.name": name}}
    return {"to": [{"namespaceSelector": selector}]}


def test_an_agent_is_reached_by_its_siblings_and_by_whoever_scrapes_it() -> None:
    spec = policy(1, **TEAM)

    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["podSelector"] == {
        "matchLabels": {"agentsystem.dev/system": "support", "agentsystem.dev/agent": "research"}
    }
    assert spec["ingress"] == [{"from": [SIBLINGS], "ports": [HTTP]}, METRICS]


def test_the_entry_is_reached_from_its_namespace_and_from_who_is_declared() -> None:
    spec = policy(0, **TEAM, network={"ingressFrom": [GATEWAY]})

    assert spec["ingress"] == [
        {"from": [SIBLINGS, {"podSelector": {}}, GATEWAY], "ports": [HTTP]},
        METRICS,
    ]


def test_declared_peers_do_not_reach_behind_the_entry() -> None:
    assert policy(1, **TEAM, network={"ingressFrom": [GATEWAY]}) == policy(1, **TEAM)


def test_an_agent_reaches_dns_its_siblings_and_what_is_declared() -> None:
    egress = {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}], "ports": [{"port": 5432}]}

    assert policy(0, network={"egress": [egress]})["egress"] == [
        DNS,
        {"to": [SIBLINGS], "ports": [HTTP]},
        egress,
    ]


@pytest.mark.parametrize(
    ("host", "want"),
    [
        ("192.0.2.7", {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]}),
        ("2001:db8::7", {"to": [{"ipBlock": {"cidr": "2001:db8::7/128"}}]}),
        ("cache.example.com", {"to": PUBLIC}),
    ],
)
def test_a_shared_server_is_reached_at_its_port_and_no_other(
    host: str, want: dict[str, Any]
) -> None:
    sessions = {"memory": {"sessions": {"store": "Redis"}}}
    stores = {"redis": {"host": host, "port": 6380}}

    assert policy(0, **sessions, stores=stores)["egress"][2:] == [
        {**want, "ports": [{"protocol": "TCP", "port": 6380}]}
    ]


def test_a_shared_server_behind_a_service_is_reached_in_its_namespace() -> None:
    postgres = {"host": "db.data.svc", "database": "agents", "user": "agents"}
    sessions = {"memory": {"sessions": {"store": "Postgres"}}}

    assert policy(0, **sessions, stores={"postgres": postgres})["egress"][2:] == [
        in_namespace("data")
    ]


def test_a_declared_server_that_nothing_uses_is_not_reached() -> None:
    assert policy(0, stores={"redis": {"host": "192.0.2.7"}}) == policy(0)


def test_a_provider_is_reached_by_the_agents_whose_route_uses_it() -> None:
    providers = [workload.OPENAI, workload.CANNED]

    used = policy(0, providers=providers, routes=workload.BOTH)["egress"]
    unused = policy(0, providers=providers)["egress"]

    assert used == [*unused, {"to": PUBLIC, "ports": [{"protocol": "TCP", "port": 443}]}]


def at(cidr: str, port: int) -> dict[str, Any]:
    return {"to": [{"ipBlock": {"cidr": cidr}}], "ports": [{"protocol": "TCP", "port": port}]}


def public(port: int) -> dict[str, Any]:
    return {"to": PUBLIC, "ports": [{"protocol": "TCP", "port": port}]}


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("https://192.0.2.7:8443/v1", at("192.0.2.7/32", 8443)),
        ("http://10.0.0.9", at("10.0.0.9/32", 80)),
        ("https://[2001:db8::1]/v1", at("2001:db8::1/128", 443)),
        ("http://vllm:8000/v1", in_namespace("shop")),
        ("http://vllm.models.svc:8000/v1", in_namespace("models")),
        ("http://vllm.models.svc.cluster.local/v1", in_namespace("models")),
        ("https://api.example.com/v1", public(443)),
        ("http://api.example.com:8080/v1", public(8080)),
        ("https://example.com", public(443)),
        ("https://svc.example.svc.com", public(443)),
    ],
)
def test_what_a_base_url_opens(url: str, rule: dict[str, Any]) -> None:
    assert network_policy.to_endpoint(url, namespace="shop") == rule
