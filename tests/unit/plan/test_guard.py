"""What authentication adds to the pods of a system that asks for it, and to no other."""

from typing import Any

import pytest

from agentsystem_operator.decide.workloads import Workload
from agentsystem_operator.plan import agent_config, guard, network_policy, pod
from tests import builders
from tests.unit.plan import workload

TEAM = [builders.agent("front"), builders.agent("research")]
KEYS: dict[str, Any] = {
    "auth": {"type": "APIKey", "apiKeys": {"secretRef": {"name": "callers", "key": "keys.yaml"}}}
}
TOKENS: dict[str, Any] = {
    "auth": {
        "type": "JWT",
        "jwt": {
            "issuer": "https://id.example",
            "audience": "support",
            "jwksURL": "http://id.auth.svc:8080/keys",
            "claims": {"tenant": "org"},
        },
    }
}
FILE = {
    "file": "/etc/agentsystem/guard/secret/value",
    "secretName": "callers",
    "secretKey": "keys.yaml",
}
SECRET = {
    "name": "guard-secret",
    "secret": {
        "secretName": "callers",
        "optional": True,
        "items": [{"key": "keys.yaml", "path": "value"}],
    },
}


def added(load: Workload) -> tuple[list[dict[str, Any]], list[str]]:
    """Return volumes and mount paths that are there for the guard, of the pods as rendered."""
    spec = pod.build_pod_template(load, revision="r")["spec"]
    volumes = [volume for volume in spec["volumes"] if volume["name"].startswith("guard-")]
    (container,) = spec["containers"]
    mounts = [m for m in container["volumeMounts"] if m["name"].startswith("guard-")]
    assert [mount["name"] for mount in mounts] == [volume["name"] for volume in volumes]
    assert all(mount["readOnly"] for mount in mounts)
    return volumes, [mount["mountPath"] for mount in mounts]


@pytest.mark.parametrize("unguarded", [{}, {"guard": {}}, {"guard": {"auth": {"type": "None"}}}])
def test_whoever_asks_nobody_has_the_pods_it_had(unguarded: dict[str, Any]) -> None:
    for load in workload.system(agents=TEAM, **unguarded):
        assert added(load) == ([], [])
        config = agent_config.of_workload(load)
        assert "guard" not in config
        assert config["contract"] == "v1.0"
        assert "guard" not in load.declared


def test_the_entry_has_the_keys_of_callers_and_a_token_to_prove_itself_with() -> None:
    entry, _ = workload.system(agents=TEAM, guard=KEYS)
    token = {"audience": "agentsystem.dev/siblings", "expirationSeconds": 3600, "path": "token"}
    proof = {
        "name": "guard-siblings",
        "projected": {"sources": [{"serviceAccountToken": token}]},
    }
    assert added(entry) == (
        [SECRET, proof],
        ["/etc/agentsystem/guard/secret", "/etc/agentsystem/guard/siblings"],
    )
    config = agent_config.of_workload(entry)
    assert config["contract"] == "v1.1"
    assert config["guard"] == {
        "auth": {"type": "APIKey", "apiKeys": FILE},
        "siblings": {
            "account": "system:serviceaccount:shop:support--",
            "token": "/etc/agentsystem/guard/siblings/token",
        },
    }


def test_a_plain_agent_has_the_keys_of_callers_and_of_the_cluster_and_no_token() -> None:
    _, plain = workload.system(agents=TEAM, guard=KEYS)
    keys = {"name": "support--jwks", "optional": True}
    volumes, _ = added(plain)
    assert volumes == [SECRET, {"name": "guard-siblings", "configMap": keys}]
    assert agent_config.of_workload(plain)["guard"]["siblings"] == {
        "account": "system:serviceaccount:shop:support--",
        "keys": "/etc/agentsystem/guard/siblings/jwks.json",
    }


def test_an_agent_alone_has_no_sibling_to_prove_anything_to() -> None:
    load = workload.first(guard=KEYS)
    assert added(load)[0] == [SECRET]
    assert "siblings" not in agent_config.of_workload(load)["guard"]


def test_tokens_need_no_secret_where_their_keys_are_fetched_and_the_policy_lets_pods_fetch() -> (
    None
):
    load = workload.first(guard=TOKENS)
    assert added(load) == ([], [])
    assert agent_config.of_workload(load)["guard"]["auth"]["jwt"] == {
        "issuer": "https://id.example",
        "audience": "support",
        "jwksURL": "http://id.auth.svc:8080/keys",
        "clockSkewSeconds": 30.0,
        "claims": {"tenant": "org"},
    }
    egress = network_policy.build_network_policy(load).body["spec"]["egress"]
    selector = {"matchLabels": {"kubernetes.io/metadata.name": "auth"}}
    assert {"to": [{"namespaceSelector": selector}]} in egress


def test_tokens_by_a_shared_key_have_its_secret() -> None:
    jwt = {key: value for key, value in TOKENS["auth"]["jwt"].items() if key != "jwksURL"}
    jwt["sharedKeySecretRef"] = {"name": "callers", "key": "keys.yaml"}
    load = workload.first(guard={"auth": {"type": "JWT", "jwt": jwt}})
    assert added(load)[0] == [SECRET]
    assert agent_config.of_workload(load)["guard"]["auth"]["jwt"]["sharedKey"] == FILE


def test_the_cluster_s_keys_are_in_a_config_map_of_the_system() -> None:
    made = guard.build_cluster_keys(workload.OWNER, '{"keys":[]}')
    assert made.body["data"] == {"jwks.json": '{"keys":[]}'}
    assert made.body["metadata"]["name"] == "support--jwks"
    assert "immutable" not in made.body


def test_requests_are_counted_where_they_enter_the_system() -> None:
    rates = {"perKey": {"requestsPerMinute": 60}, "perAgent": {"requestsPerDay": 1000}}
    stated = {"limits": {"concurrentRequests": 20, **rates}}
    for load in workload.system(agents=TEAM, guard={**KEYS, **stated}):
        assert agent_config.of_workload(load)["guard"]["limits"] == stated["limits"]


def test_a_plain_agent_that_cannot_tell_what_the_entry_has_counted_does_not_count() -> None:
    stated = {"limits": {"concurrentRequests": 20, "perAgent": {"requestsPerMinute": 60}}}
    redis = {"redis": {"host": "redis"}}
    entry, plain = workload.system(agents=TEAM, guard=stated, stores=redis)
    assert agent_config.of_workload(entry)["guard"] == stated
    assert agent_config.of_workload(plain)["guard"] == {"limits": {"concurrentRequests": 20}}
    assert plain.declared["guard"] == {"limits": {"concurrentRequests": 20}}
    assert (entry.stores.redis is not None, plain.stores.redis) == (True, None)


def test_redis_is_for_those_who_count_requests_and_its_policy_too() -> None:
    redis = {"redis": {"host": "192.0.2.7"}}
    rates = {"limits": {"perKey": {"requestsPerMinute": 60}}}
    for load in workload.system(agents=TEAM, guard={**KEYS, **rates}, stores=redis):
        assert agent_config.of_workload(load)["stores"]["redis"]["host"] == "192.0.2.7"
        egress = network_policy.build_network_policy(load).body["spec"]["egress"]
        assert {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}],
                "ports": [{"protocol": "TCP", "port": 6379}]} in egress  # fmt: skip
    for load in workload.system(agents=TEAM, guard=KEYS, stores=redis):
        assert load.stores.redis is None


def test_limits_reach_every_pod_with_or_without_authentication() -> None:
    stated = {"limits": {"concurrentRequests": 20}}
    for load in workload.system(agents=TEAM, guard=stated):
        config = agent_config.of_workload(load)
        assert (config["contract"], config["guard"]) == ("v1.1", stated)
        assert load.declared["guard"] == stated
    both = agent_config.of_workload(workload.first(guard={**KEYS, **stated}))
    assert set(both["guard"]) == {"auth", "limits"}
