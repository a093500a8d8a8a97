"""The CRD as the apiserver serves it: explained field by field, with its rules of change."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from agentsystem_operator.api import crd as generator
from tests.contract.api.resources import API_KEYS, changed
from tests.integration import crd
from tests.kube import Kube, eventually

NAME = "crd-changes"
SQLITE = {"metadata.name": NAME, "spec.memory.sessions": {"store": "SQLite"}}


@pytest.fixture(scope="module")
def served(kube: Kube) -> Kube:
    """The test cluster, with the CRD served."""
    return crd.serve(kube)


@pytest.fixture
def system(served: Kube) -> Iterator[Kube]:
    """The test cluster with one system whose sessions are kept by SQLite."""
    crd.create(served, changed(SQLITE), dry_run=False).raise_for_status()
    yield served
    served.delete("AgentSystem", NAME, "default")


def _update(kube: Kube, spec: dict[str, Any]) -> httpx.Response:
    return kube.http.patch(
        f"{crd.SYSTEMS}/{NAME}",
        json={"spec": spec},
        headers={"Content-Type": "application/merge-patch+json"},
    )


def _paths(schema: dict[str, Any], at: str) -> Iterator[tuple[str, str]]:
    """Yield every field below a schema with its description."""
    for name, child in schema.get("properties", {}).items():
        yield f"{at}.{name}", child["description"]
        yield from _paths(child.get("items", child), f"{at}.{name}")


def test_every_field_is_explained_in_the_words_of_its_model(served: Kube) -> None:
    """The document behind `kubectl explain` holds each field's own description."""
    document = "/openapi/v3/apis/agentsystem.dev/v1alpha1"
    # The apiserver writes it a moment after it has begun to serve the kind.
    eventually(
        "the document is there", lambda: served.http.get(document).text.startswith("{"), within_s=30
    )
    served_schemas = served.http.get(document).json()
    kind = served_schemas["components"]["schemas"]["dev.agentsystem.v1alpha1.AgentSystem"]
    version = generator.build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for part in ("spec", "status"):
        wanted = dict(_paths(version["properties"][part], part))
        assert dict(_paths(kind["properties"][part], part)) == wanted
        assert all(wanted.values())


def test_kubectl_explain_tells_a_field_its_type_and_its_default(served: Kube) -> None:
    text = served.kubectl("explain", "asys.spec.providers.openAI.baseURL")
    assert "FIELD: baseURL <string>" in text
    assert "Address of the API, http or https, without user, query or fragment." in text


def test_columns_short_name_and_category_work(system: Kube) -> None:
    table = system.kubectl("get", "asys", NAME, "-n", "default")
    assert table.split("\n")[0].split("  ")[0] == "NAME"
    heads = [head.strip() for head in table.split("\n")[0].split("   ") if head.strip()]
    assert heads == ["NAME", "READY", "REASON", "AGENTS READY", "AGENTS", "REVISION", "AGE"]
    assert NAME in system.kubectl("get", "agentops", "-n", "default")


def test_constants_are_defaulted_by_the_server_and_computed_defaults_are_not(system: Kube) -> None:
    stored = system.get("AgentSystem", NAME, "default")
    assert stored is not None
    assert stored["spec"]["paused"] is False
    assert stored["spec"]["memory"]["sessions"] == {
        "store": "SQLite",
        "ttl": "24h",
        "maxTurns": 50,
    }
    assert "replicas" not in stored["spec"]["agents"][0]


@pytest.mark.parametrize(
    "sqlite",
    [{"size": "2Gi"}, {"storageClassName": "fast"}, {"size": "1Gi", "storageClassName": "a"}],
)
def test_volume_cannot_be_changed_while_the_store_is_sqlite(
    system: Kube, sqlite: dict[str, str]
) -> None:
    answer = _update(system, {"memory": {"sessions": {"store": "SQLite", "sqlite": sqlite}}})
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert crd.blamed(answer) == {"spec.memory.sessions.sqlite"}
    assert "to migrate set store: Memory" in answer.json()["message"]


def test_volume_may_be_spelt_out_and_other_fields_may_change(system: Kube) -> None:
    sessions = {"store": "SQLite", "sqlite": {"size": "1Gi"}, "ttl": "1h"}
    assert _update(system, {"memory": {"sessions": sessions}}).is_success
    assert _update(system, {"memory": {"sessions": {"sqlite": None}}}).is_success
    assert _update(system, {"paused": True}).is_success


def test_volume_may_be_changed_by_way_of_memory(system: Kube) -> None:
    memory = {"store": "Memory", "sqlite": None}
    assert _update(system, {"memory": {"sessions": memory}}).is_success
    larger = {"store": "SQLite", "sqlite": {"size": "2Gi"}}
    assert _update(system, {"memory": {"sessions": larger}}).is_success


def test_volume_of_a_tier_that_chooses_sqlite_is_fixed_too(served: Kube) -> None:
    """Stating another size for the claims that tier Testing has already made is refused."""
    tier = {"spec.tier": "Testing", "spec.guard.auth": API_KEYS}
    body = changed({"metadata.name": NAME, **tier})
    crd.create(served, body, dry_run=False).raise_for_status()
    try:
        stated = {"store": "SQLite", "sqlite": {"size": "2Gi"}}
        answer = _update(served, {"memory": {"sessions": stated}})
        assert crd.blamed(answer) == {"spec.memory.sessions.sqlite"}
        assert _update(served, {"memory": {"sessions": {"store": "SQLite"}}}).is_success
    finally:
        served.delete("AgentSystem", NAME, "default")


def test_status_is_written_apart_from_the_spec(system: Kube) -> None:
    status = {"status": {"readyAgents": 1}, "spec": {"paused": True}}
    answer = system.http.patch(
        f"{crd.SYSTEMS}/{NAME}/status",
        json=status,
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert answer.is_success
    stored = system.get("AgentSystem", NAME, "default")
    assert stored is not None
    assert (stored["status"], stored["spec"]["paused"]) == (
        {"observedGeneration": -1, "readyAgents": 1},
        False,
    )
