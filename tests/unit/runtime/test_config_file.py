"""A wrong config is told everything that is wrong with it, by path, with the fix."""

import copy
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.app import config_file
from agent_runtime.app.config_file import Surroundings
from agent_runtime.problems import Invalid

LAPTOP = Surroundings(in_cluster=False, grace_seconds=25.0, state_home=Path("/state"))
CLUSTER = Surroundings(in_cluster=True, grace_seconds=25.0, state_home=Path("/state"))

GOOD: dict[str, Any] = {
    "contract": "v1.0",
    "namespace": "shop",
    "system": "support",
    "entry": "front",
    "agents": [{"name": "front", "route": "chat"}],
    "siblings": [{"name": "research", "url": "http://support--research.shop.svc:8000"}],
    "routes": [
        {"name": "chat", "chain": [{"provider": "openai", "model": "m"}, {"provider": "canned"}]}
    ],
    "providers": [
        {"name": "openai", "type": "OpenAI", "openAI": {"apiKey": {"file": "/keys/openai/key"}}},
        {"name": "canned", "type": "Scripted"},
    ],
    "sessions": {"store": "SQLite", "path": "/data/s.db"},
}


def with_change(*steps: str | int, value: Any) -> dict[str, Any]:
    """Return GOOD with the value at a path replaced or added."""
    document = copy.deepcopy(GOOD)
    target: Any = document
    for step in steps[:-1]:
        target = target[step]
    target[steps[-1]] = value
    return document


def without(*steps: str | int) -> dict[str, Any]:
    document = with_change(*steps, value=None)
    target: Any = document
    for step in steps[:-1]:
        target = target[step]
    del target[steps[-1]]
    return document


def paths(document: Any, surroundings: Surroundings = LAPTOP) -> list[str]:
    with pytest.raises(Invalid) as caught:
        config_file.parse(document, surroundings)
    assert all(problem.what and problem.fix for problem in caught.value.problems)
    return [problem.path for problem in caught.value.problems]


def test_a_good_config_is_accepted_in_both_places() -> None:
    for surroundings in (LAPTOP, CLUSTER):
        config = config_file.parse(copy.deepcopy(GOOD), surroundings)
        assert config.providers[0].open_ai is not None
        assert config.providers[0].open_ai.base_url == "https://api.openai.com/v1"


@dataclass(frozen=True)
class Case:
    id: str
    document: Any
    want: list[str]


CASES = (
    Case("no object", [], ["(whole file)"]),
    Case("no contract", without("contract"), ["contract"]),
    Case("contract of another form", with_change("contract", value="1.0"), ["contract"]),
    Case("contract of another major", with_change("contract", value="v2.0"), ["contract"]),
    Case("missing", without("namespace"), ["namespace"]),
    Case("unknown key", with_change("agents", 0, "rout", value="x"), ["agents[0].rout"]),
    Case("bad name", with_change("system", value="Support_1"), ["system"]),
    Case("no agents", with_change("agents", value=[]), ["agents"]),
    Case("unknown route", with_change("agents", 0, "route", value="chit"), ["agents[0].route"]),
    Case(
        "unknown provider",
        with_change("routes", 0, "chain", 1, "provider", value="nobody"),
        ["routes[0].chain[1].provider"],
    ),
    Case(
        "OpenAI without model",
        with_change("routes", 0, "chain", 0, value={"provider": "openai"}),
        ["routes[0].chain[0].model"],
    ),
    Case(
        "section of another type",
        with_change("providers", 1, "openAI", value={}),
        ["providers[1].openAI"],
    ),
    Case("unknown type", with_change("providers", 1, "type", value="Magic"), ["providers[1].type"]),
    Case(
        "no address",
        with_change("providers", 0, "openAI", value={"baseURL": "ftp://x"}),
        ["providers[0].openAI.baseURL"],
    ),
    Case(
        "endless timeout",
        with_change("providers", 0, "openAI", value={"timeoutSeconds": 0}),
        ["providers[0].openAI.timeoutSeconds"],
    ),
    Case("unknown entry", with_change("entry", value="nobody"), ["entry"]),
    Case(
        "sibling that is an agent",
        with_change("siblings", 0, "name", value="front"),
        ["siblings[0].name"],
    ),
    Case("name twice", with_change("providers", 1, "name", value="openai"),
         ["providers[1].name", "routes[0].chain[1].provider"]),
    Case("text for a number", with_change("sessions", "ttlSeconds", value="24h"),
         ["sessions.ttlSeconds"]),
    Case("too many turns", with_change("sessions", "maxTurns", value=1001), ["sessions.maxTurns"]),
    Case("unknown store", with_change("sessions", "store", value="Etcd"), ["sessions.store"]),
    Case("store without its server", with_change("sessions", "store", value="Redis"),
         ["stores.redis"]),
    Case("another store's server", {**with_change("sessions", "store", value="Postgres"),
         "stores": {"redis": {"host": "cache"}}}, ["stores.postgres"]),
    Case("host with a port", {**GOOD, "stores": {"redis": {"host": "cache:6379"}}},
         ["stores.redis.host"]),
    Case("database without a user", {**GOOD, "stores": {"postgres": {"host": "db",
         "database": "agents"}}}, ["stores.postgres.user"]),
    Case("port out of range", {**GOOD, "stores": {"redis": {"host": "::1", "port": 65536}}},
         ["stores.redis.port"]),
    Case(
        "broken script",
        with_change("providers", 1, "scripted", value={"answers": "rules: [{match: '('}]"}),
        ["providers[1].scripted.answers.rules[0].match"],
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_wrong_field_is_named(case: Case) -> None:
    assert paths(copy.deepcopy(case.document)) == case.want


def test_every_wrong_field_is_named_at_once() -> None:
    document = with_change("agents", 0, "route", value="chit")
    document["sessions"]["ttlSeconds"] = "1h"
    document["providers"][0]["openAI"]["baseURL"] = "nowhere"
    document["extra"] = 1
    assert paths(document) == [
        "agents[0].route", "extra", "providers[0].openAI.baseURL", "sessions.ttlSeconds",
    ]  # fmt: skip


def test_a_problem_says_what_and_how_to_fix_it_without_echoing_values() -> None:
    with pytest.raises(Invalid) as caught:
        config_file.parse(with_change("agents", 0, "instructions", value=["secret"]), LAPTOP)
    assert str(caught.value) == (
        "agents[0].instructions: must be a string; put the value in quotes"
    )


def test_sqlite_needs_a_path_in_a_cluster_and_has_a_default_on_a_laptop() -> None:
    document = without("sessions", "path")
    assert paths(copy.deepcopy(document), CLUSTER) == ["sessions.path"]
    assert config_file.parse(document, LAPTOP).sessions is not None


def test_unknown_keys_of_a_newer_minor_warn_in_a_cluster(
    caplog: pytest.LogCaptureFixture,
) -> None:
    document = with_change("contract", value="v1.9")
    document["novelty"] = {"a": 1}
    document["agents"][0]["skills"] = []
    with caplog.at_level(logging.WARNING):
        config = config_file.parse(document, CLUSTER)
    assert config.agents[0].name == "front"
    ignored = {str(vars(record)["path"]) for record in caplog.records}
    assert ignored == {"novelty", "agents[0].skills"}


def test_unknown_keys_of_a_newer_minor_are_refused_on_a_laptop() -> None:
    document = with_change("contract", value="v1.9")
    document["novelty"] = {"a": 1}
    assert paths(document) == ["novelty"]


def test_unknown_keys_of_the_own_minor_are_refused_in_a_cluster() -> None:
    assert paths(with_change("novelty", value=1), CLUSTER) == ["novelty"]


def test_wrong_values_of_a_newer_minor_are_refused_in_a_cluster() -> None:
    document = with_change("contract", value="v1.9")
    document["novelty"] = 1
    document["sessions"]["store"] = "Etcd"
    assert paths(document, CLUSTER) == ["sessions.store"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"absent\.json: cannot be read"):
        config_file.load(tmp_path / "absent.json", LAPTOP)


def test_broken_json_is_told_its_line(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text('{"contract":\n "v1.0",,}')
    with pytest.raises(Invalid, match="not valid JSON; see line 2"):
        config_file.load(file, LAPTOP)


def test_yaml_is_read_too_but_no_aliases(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("contract: v1.0\na: &x [1]\nb: *x\n")
    with pytest.raises(Invalid, match="alias"):
        config_file.load(file, LAPTOP)


@pytest.mark.parametrize(("text", "want"), [("", 25.0), ("7", 7.0), ("2.5", 2.5)])
def test_the_grace_period_comes_from_the_environment(text: str, want: float) -> None:
    assert Surroundings.of({"AGENT_GRACE_SECONDS": text}).grace_seconds == want


@pytest.mark.parametrize("text", ["soon", "-1", "99999", "nan"])
def test_a_bad_grace_period_is_named(text: str) -> None:
    with pytest.raises(Invalid, match="AGENT_GRACE_SECONDS"):
        Surroundings.of({"AGENT_GRACE_SECONDS": text})


@pytest.mark.parametrize("name", [[], {}, ["canned"], 7])
def test_a_name_of_any_shape_is_told_and_not_stumbled_over(name: Any) -> None:
    with pytest.raises(Invalid) as caught:
        config_file.parse(with_change("providers", 1, "name", value=name), LAPTOP)
    assert "providers[1].name" in [problem.path for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        (("sessions", "path"), "sessions.path"),
        (("providers", 0, "openAI", "apiKey", "file"), "providers[0].openAI.apiKey.file"),
    ],
)
def test_a_path_that_no_file_can_have_is_named(steps: tuple[str | int, ...], path: str) -> None:
    with pytest.raises(Invalid) as caught:
        config_file.parse(with_change(*steps, value="/data/\0"), LAPTOP)
    assert [problem.path for problem in caught.value.problems] == [path]


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@models/v1",  # would meet our Authorization header
        "http://models:99999/v1",
        "http://models:port/v1",
        "http://[::1/v1",
        "http://:8000/v1",
        "https://models/v1?api-version=1",
        "https://models/v1#there",
    ],
)
def test_an_address_that_cannot_be_asked_is_named_and_not_echoed(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        config_file.parse(with_change("providers", 0, "openAI", "baseURL", value=url), LAPTOP)
    (problem,) = caught.value.problems
    assert problem.path == "providers[0].openAI.baseURL"
    assert "secret" not in str(problem)


@pytest.mark.parametrize(
    "url", ["http://[::1]:8000/v1", "https://models/a@b:c/v1", "http://10.0.0.1"]
)
def test_an_address_with_an_unusual_host_or_path_is_good(url: str) -> None:
    parsed = config_file.parse(with_change("providers", 0, "openAI", "baseURL", value=url), LAPTOP)
    assert parsed.providers[0].open_ai is not None
    assert parsed.providers[0].open_ai.base_url == url
