"""`spec.cache`: what reaches the runtime, and when Redis is part of it."""

from typing import Any

import pytest

from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.plan import agent_config
from tests import builders
from tests.unit.plan import workload

REDIS: dict[str, Any] = {"redis": {"host": "redis.data.svc"}}
DEFAULTS = {"ttlSeconds": 600, "maxEntries": 10_000}


@pytest.mark.parametrize(
    ("cache", "rendered"),
    [({}, DEFAULTS), ({"ttl": "1m30s", "maxEntries": 7}, {"ttlSeconds": 90, "maxEntries": 7})],
)
def test_it_is_rendered_with_the_minor_that_knows_it(
    cache: dict[str, Any], rendered: dict[str, Any]
) -> None:
    config = agent_config.of_workload(workload.first(cache=cache))
    assert (config["contract"], config["cache"]) == ("v1.1", rendered)
    assert "stores" not in config


def test_who_does_not_use_it_has_neither_the_section_nor_the_server() -> None:
    unused = workload.first(stores=REDIS)
    config = agent_config.of_workload(unused)
    assert config["contract"] == "v1.0"
    assert config.keys().isdisjoint({"cache", "stores"})
    assert unused.declared.keys().isdisjoint({"cache", "stores"})


def test_answers_are_shared_in_a_redis_that_is_declared() -> None:
    caching = workload.first(cache={}, stores=REDIS)
    assert agent_config.of_workload(caching)["stores"]["redis"]["host"] == "redis.data.svc"
    assert caching.stores.redis is not None
    assert caching.declared["stores"] == REDIS


def test_a_change_of_it_is_a_change_of_what_is_declared() -> None:
    """Else the pods would keep the time to live of the day before."""
    stated: list[Any] = [{}, {"ttl": "1m"}]
    declared = [workload.first(cache=cache).declared["cache"] for cache in stated]
    assert declared == stated


def test_a_laptop_has_it_too() -> None:
    body = builders.system("support", "shop", cache={"ttl": "1h"}, stores=REDIS)["spec"]
    spec = AgentSystemSpec.model_validate(body)
    defaults = workload.SETTINGS.defaults
    config = agent_config.render_config(
        spec, {}, key=SystemKey("shop", "support"), defaults=defaults
    )
    assert config["contract"] == "v1.1"
    assert config["cache"] == {"ttlSeconds": 3600, "maxEntries": 10_000}
    assert config["stores"]["redis"]["host"] == "redis.data.svc"
