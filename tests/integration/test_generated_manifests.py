"""Whatever a valid spec asks for, the apiserver takes: every child of generated systems."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from agentsystem_operator.model import ownership
from agentsystem_operator.model.references import SystemKey
from tests import builders
from tests.kube import PATHS, Kube
from tests.property.test_core import running, world_of

NAMESPACE = "generated-manifests"


@pytest.fixture(scope="module")
def cluster(kube: Kube) -> Iterator[Kube]:
    """The cluster with a namespace that enforces the restricted pod security standard."""
    kube.apply(builders.namespace(NAMESPACE))
    yield kube
    kube.delete("Namespace", NAMESPACE)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(spec=running)
def test_every_child_of_a_generated_system_passes_a_dry_run(cluster: Kube, spec: Any) -> None:
    """Nothing is refused, nothing is unknown, and what we would own is what we computed."""
    world = world_of(spec)
    world.key = SystemKey(NAMESPACE, "support")
    world.reconcile()

    for ref, body in world.objects().items():
        answer = dry_run(cluster, f"{PATHS[ref.kind.value].format(ns=NAMESPACE)}/{ref.name}", body)
        assert answer.is_success, (ref, answer.text)
        (entry,) = answer.json()["metadata"]["managedFields"]
        assert ownership.of_live(ref.kind, entry["fieldsV1"]) == world.things[ref].child.ownership


# A body of server-side apply is read as YAML: these have to be escaped, while characters beyond
# U+FFFF must not be, since YAML knows no surrogate pairs.
NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def dry_run(cluster: Kube, path: str, body: Mapping[str, Any]) -> httpx.Response:
    """Apply on trial, as the operator applies: forced, strict about unknown fields."""
    text = orjson.dumps(body).decode()
    return cluster.http.patch(
        path,
        params={
            "fieldManager": "agentsystem",
            "force": "true",
            "fieldValidation": "Strict",
            "dryRun": "All",
        },
        content=NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text),
        headers={"Content-Type": "application/apply-patch+yaml"},
    )
