"""What else an endpoint has, in the config; and who shares its limits."""

from typing import Any

from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.plan import agent_config
from tests.unit.plan import workload
from tests.unit.plan.test_agent_config import STORES

LIMITS = {"concurrency": 5, "tokensPerMinute": 1000}
CHAIN = [{"name": "chat", "chain": [{"provider": "hosted", "model": "m"}]}]


def config_of(kind: str = "OpenAI", section: str = "openAI", **settings: Any) -> dict[str, Any]:
    stores = settings.pop("stores", {})
    provider = {"name": "hosted", "type": kind, section: settings}
    return agent_config.of_workload(
        workload.first(providers=[provider], routes=CHAIN, stores=stores)
    )


def test_headers_azure_and_limits_are_passed_on() -> None:
    config = config_of(
        baseURL="https://acme.openai.azure.com",
        azure={"apiVersion": "2024-10-21"},
        headers={"x-team": "red"},
        limits=LIMITS,
    )
    assert config["contract"] == "v1.1"
    assert config["providers"][0]["openAI"] == {
        "baseURL": "https://acme.openai.azure.com",
        "timeoutSeconds": 30.0,
        "headers": {"x-team": "red"},
        "azure": {"apiVersion": "2024-10-21"},
        "limits": LIMITS,
    }
    section = config_of("Anthropic", "anthropic", limits=LIMITS)["providers"][0]["anthropic"]
    assert section["limits"] == LIMITS


def test_prompt_caching_is_told_of_where_it_is_off() -> None:
    told = [
        config_of("Anthropic", "anthropic", **stated)["providers"][0]["anthropic"]
        for stated in ({}, {"promptCaching": True}, {"promptCaching": False})
    ]
    assert [section.get("promptCaching") for section in told] == [None, None, False]


def test_an_endpoint_without_them_has_the_config_that_it_had() -> None:
    config = config_of(baseURL="https://models.example.com", headers={})
    assert config["contract"] == "v1.0"
    assert config["providers"][0]["openAI"] == {
        "baseURL": "https://models.example.com",
        "timeoutSeconds": 30.0,
    }


def test_limits_are_shared_in_the_redis_that_is_declared() -> None:
    assert config_of(limits=LIMITS, stores=STORES)["stores"]["redis"]["host"] == "redis.data.svc"
    assert "postgres" not in config_of(limits=LIMITS, stores=STORES)["stores"]
    assert "stores" not in config_of(limits=LIMITS)
    assert "stores" not in config_of(stores=STORES)


def test_a_laptop_has_the_redis_that_any_of_its_agents_needs() -> None:
    limited = {"name": "hosted", "type": "OpenAI", "openAI": {"limits": LIMITS}}
    spec = AgentSystemSpec.model_validate(
        {
            "tier": "Development",
            "providers": [{"name": "canned", "type": "Scripted"}, limited],
            "routes": [{"name": "script", "chain": [{"provider": "canned"}]}, *CHAIN],
            "agents": [{"name": "a", "route": "script"}, {"name": "b", "route": "chat"}],
            "workflow": {"entry": "a"},
            "stores": STORES,
        }
    )
    config = agent_config.render_config(
        spec, {}, key=SystemKey("shop", "support"), defaults=workload.SETTINGS.defaults
    )
    assert (config["contract"], list(config["stores"])) == ("v1.1", ["redis"])
