"""What a config says of the cache: its bounds, its revision, and when old answers are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent_runtime.app import caching, config_file
from agent_runtime.app.config_file import Surroundings
from agent_runtime.app.contract import Config
from agent_runtime.cache.answers import KEPT_TTLS
from agent_runtime.cache.cached import Cached
from agent_runtime.observability.metrics import Metrics
from agent_runtime.problems import Invalid
from tests.contract.runtime.serving import config
from tests.unit.runtime.remembered import Model

LAPTOP = Surroundings(in_cluster=False, grace_seconds=5.0, state_home=Path("/nowhere"))


def parsed(**changes: Any) -> Config:
    return config_file.parse(config(contract="v1.1", **changes), LAPTOP)


def test_a_section_without_fields_has_defaults_and_without_it_there_is_no_cache() -> None:
    section = parsed(cache={}).cache
    assert section is not None
    assert (section.ttl_seconds, section.max_entries) == (600, 10_000)
    model = Model()
    assert caching.around(parsed(), None, None, Metrics())(model) is model


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ({"ttlSeconds": 0.5}, "cache.ttlSeconds"),
        ({"ttlSeconds": 604_801}, "cache.ttlSeconds"),
        ({"ttlSeconds": "soon"}, "cache.ttlSeconds"),
        ({"maxEntries": 0}, "cache.maxEntries"),
        ({"maxEntries": 100_001}, "cache.maxEntries"),
        ({"entries": 1}, "cache.entries"),
    ],
)
def test_a_wrong_field_is_named(section: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        parsed(cache=section)
    assert [problem.path for problem in caught.value.problems] == [field]


@pytest.mark.parametrize(
    "change",
    [
        {"agents": [{"name": "front", "route": "chat", "instructions": "be curt"}]},
        {"script": "default: other"},
        {"system": "sales"},
        {"cache": {"ttlSeconds": 60}},
        {"guard": {"limits": {"concurrentRequests": 5}}},
    ],
)
def test_every_change_of_the_config_is_another_revision(change: dict[str, Any]) -> None:
    before, again, after = parsed(cache={}), parsed(cache={}), parsed(**{"cache": {}, **change})
    revision = caching.revision_of(before)
    assert caching.revision_of(again) == revision
    assert caching.revision_of(after) != revision


@pytest.mark.parametrize("stale", [None, lambda: False, lambda: True])
def test_old_answers_are_held_only_where_they_may_be_given(stale: Any) -> None:
    route = caching.around(parsed(cache={}), None, None, Metrics(), may_serve_stale=stale)(Model())
    assert isinstance(route, Cached)
    assert route._answers._kept_s == 600 * (1 if stale is None else KEPT_TTLS)
