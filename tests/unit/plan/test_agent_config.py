"""The rendered config is the contract with the runtime: key by key."""

from typing import Any

import orjson
import pytest

from agentsystem_operator.api.base import STORED
from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.plan import agent_config
from tests import builders
from tests.unit.plan import workload

SCRIPTED = {
    "name": "canned",
    "type": "Scripted",
    "scripted": {"configMapKeyRef": {"name": "texts", "key": "answers.yaml"}},
}
FIELDS: dict[str, Any] = {
    "providers": [workload.OPENAI, SCRIPTED, {"name": "unused", "type": "Scripted"}],
    "routes": [*workload.BOTH, {"name": "aside", "chain": [{"provider": "unused"}]}],
    "agents": [builders.agent("front"), builders.agent("research", route="aside")],
    "memory": {"sessions": {"store": "SQLite", "ttl": "1h30m", "maxTurns": 7}},
}
TEXTS = {("texts", "answers.yaml"): "default: hi"}


def test_the_entry_knows_its_siblings_and_only_its_own_route() -> None:
    front, _ = workload.system(TEXTS, **FIELDS)

    assert agent_config.of_workload(front) == {
        "contract": "v1.0",
        "namespace": "shop",
        "system": "support",
        "entry": "front",
        "agents": [{"name": "front", "route": "chat", "instructions": "You are front."}],
        "siblings": [{"name": "research", "url": "http://support--research.shop.svc:8000"}],
        "routes": [
            {
                "name": "chat",
                "chain": [{"provider": "openai", "model": "m"}, {"provider": "canned"}],
            }
        ],
        "providers": [
            {
                "name": "openai",
                "type": "OpenAI",
                "openAI": {
                    "baseURL": "https://api.example.com/v1",
                    "timeoutSeconds": 90.0,
                    "apiKey": {
                        "file": "/etc/agentsystem/keys/openai/key",
                        "secretName": "keys",
                        "secretKey": "openai",
                    },
                },
            },
            {"name": "canned", "type": "Scripted", "scripted": {"answers": "default: hi"}},
        ],
        "sessions": {
            "store": "SQLite",
            "path": "/var/lib/agentsystem/sessions.db",
            "ttlSeconds": 5400,
            "maxTurns": 7,
            "shared": True,
        },
    }


def test_another_agent_knows_nothing_that_moves_with_its_siblings() -> None:
    _, research = workload.system(TEXTS, **FIELDS)
    config = agent_config.of_workload(research)

    assert config["siblings"] == []
    assert config["entry"] == "research"
    assert config["providers"] == [{"name": "unused", "type": "Scripted", "scripted": {}}]


@pytest.mark.parametrize(
    ("replicas", "shared"), [(0, True), (1, True), (2, False)], ids=["none", "one", "many"]
)
def test_many_pods_with_sessions_in_memory_say_that_they_do_not_share(
    replicas: int, shared: bool
) -> None:
    config = agent_config.of_workload(workload.first(agents=[builders.agent(replicas=replicas)]))

    assert config["sessions"] == {
        "store": "Memory",
        "ttlSeconds": 86400,
        "maxTurns": 50,
        "shared": shared,
    }


def test_a_provider_without_a_key_sends_none() -> None:
    openai = {"name": "openai", "type": "OpenAI", "openAI": {}}
    config = agent_config.of_workload(
        workload.first(providers=[openai, workload.CANNED], routes=workload.BOTH)
    )

    assert config["providers"][0]["openAI"] == {
        "baseURL": "https://api.openai.com/v1",
        "timeoutSeconds": 30.0,
    }


def test_only_a_config_that_uses_what_is_newer_names_a_newer_contract() -> None:
    hosted = {
        "name": "claude",
        "type": "Anthropic",
        "anthropic": {"apiKeySecretRef": {"name": "keys", "key": "claude"}},
    }
    routes = [
        {"name": "chat", "chain": [{"provider": "canned"}]},
        {"name": "deep", "chain": [{"provider": "claude", "model": "m"}]},
    ]
    agents = [builders.agent(), builders.agent("research", route="deep")]
    front, research = workload.system(
        providers=[hosted, workload.CANNED],
        routes=routes,
        agents=agents,
        workflow={"entry": "front"},
    )

    assert agent_config.of_workload(front)["contract"] == "v1.0"
    config = agent_config.of_workload(research)
    assert config["contract"] == "v1.1"
    assert config["providers"] == [
        {
            "name": "claude",
            "type": "Anthropic",
            "anthropic": {
                "baseURL": "https://api.anthropic.com/v1",
                "timeoutSeconds": 30.0,
                "apiKey": {
                    "file": "/etc/agentsystem/keys/claude/key",
                    "secretName": "keys",
                    "secretKey": "claude",
                },
            },
        }
    ]


def test_a_laptop_gets_every_agent_in_one_file() -> None:
    body = builders.system("support", "shop", **FIELDS)["spec"]
    config = agent_config.render_config(
        AgentSystemSpec.model_validate(body, context=STORED),
        TEXTS,
        key=SystemKey("shop", "support"),
        defaults=workload.SETTINGS.defaults,
    )

    assert [agent["name"] for agent in config["agents"]] == ["front", "research"]
    assert [route["name"] for route in config["routes"]] == ["chat", "aside"]
    assert [p["name"] for p in config["providers"]] == ["openai", "canned", "unused"]
    assert config["providers"][0]["openAI"]["apiKey"]["file"] == "keys/openai/key"
    assert config["sessions"]["path"] == "sessions.db"
    assert (config["entry"], config["siblings"]) == ("front", [])


def test_the_file_is_json_that_a_person_can_read() -> None:
    text = agent_config.as_text(agent_config.of_workload(workload.first()))

    assert orjson.loads(text)["system"] == "support"
    assert text.startswith('{\n  "contract": "v1.0"')


STORES: dict[str, Any] = {
    "redis": {
        "host": "redis.data.svc",
        "passwordSecretRef": {"name": "stores", "key": "redis"},
    },
    "postgres": {"host": "db", "port": 6432, "database": "chat", "user": "agents", "tls": True},
}


def test_a_used_server_is_in_the_config_with_the_place_of_its_password() -> None:
    redis = {"sessions": {"store": "Redis"}}
    config = agent_config.of_workload(
        workload.first(tier="Production", stores=STORES, memory=redis)
    )

    assert config["contract"] == "v1.1"
    assert (config["sessions"]["store"], config["sessions"]["shared"]) == ("Redis", True)
    assert config["stores"] == {
        "redis": {
            "host": "redis.data.svc",
            "port": 6379,
            "tls": False,
            "password": {
                "file": "/etc/agentsystem/stores/redis/password",
                "secretName": "stores",
                "secretKey": "redis",
            },
        }
    }


def test_a_server_without_a_password_has_none_in_the_config() -> None:
    postgres = {"sessions": {"store": "Postgres"}}

    config = agent_config.of_workload(workload.first(stores=STORES, memory=postgres))

    assert config["stores"] == {
        "postgres": {"host": "db", "port": 6432, "database": "chat", "user": "agents", "tls": True}
    }


def test_a_declared_server_that_nothing_uses_leaves_the_config_as_it_was() -> None:
    one, other = workload.first(stores=STORES), workload.first()

    assert agent_config.of_workload(one) == agent_config.of_workload(other)
    assert one.declared == other.declared


def test_encryption_is_in_the_config_with_the_place_of_its_keys_and_nothing_else_is() -> None:
    keys = {"name": "session-keys", "key": "fernet"}
    config = agent_config.of_workload(workload.first(guard={"encryption": {"keysSecretRef": keys}}))

    assert (config["contract"], "stores" in config) == ("v1.1", False)
    assert config["guard"] == {
        "encryption": {
            "keys": {
                "file": "/etc/agentsystem/guard/encryption/keys",
                "secretName": "session-keys",
                "secretKey": "fernet",
            }
        }
    }
