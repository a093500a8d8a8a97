"""The operator installed as a user installs it, and namespaces to work in."""

from __future__ import annotations

import itertools
import os
import types
from collections.abc import Iterator

import pytest

from agentsystem_operator.adapters.channel import secret
from demo import existing, installation, place
from images import build
from tests import audit, builders
from tests.conftest import CONTEXT, ROOT
from tests.kube import Kube, eventually

OPERATOR_NS = "agentsystem-system"
OPERATOR = "agentsystem-operator"
# The archives' own names: what `IMAGE_LOAD` brought to the nodes.
OPERATOR_IMAGE, RUNTIME_IMAGE = (image.reference() for image in build.IMAGES)
NAMES = place.Names(operator=OPERATOR_IMAGE, runtime=RUNTIME_IMAGE, key="tests")
NEEDS_DEV_CLUSTER = "needs a dev cluster (its nodes' power, its audit log), not an existing one"
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On an existing cluster, do not run what needs the powers of a dev cluster, and say so."""
    if not os.environ.get(CONTEXT):
        return
    for item in items:
        if needs_dev_cluster(item):
            item.add_marker(pytest.mark.skip(reason=NEEDS_DEV_CLUSTER))


def needs_dev_cluster(item: pytest.Item) -> bool:
    """Say whether a test asks for a dev cluster by name, or drives dev clusters itself."""
    if "cluster_name" in getattr(item, "fixturenames", ()):
        return True
    module = getattr(item, "module", None)
    drives = [each.__name__ for each in vars(module).values() if isinstance(each, types.ModuleType)]
    return any(f"{name}.".startswith(("devcluster.", "tests.devcluster.")) for name in drives)


def operator_is_ready(kube: Kube) -> bool:
    """Say whether all replicas of the operator are available and current."""
    found = kube.get("Deployment", OPERATOR, OPERATOR_NS)
    assert found is not None
    wanted, status = found["spec"]["replicas"], found.get("status", {})
    counts = [status.get(f"{which}eplicas", 0) for which in ("updatedR", "availableR", "r")]
    current = status.get("observedGeneration") == found["metadata"]["generation"]
    return bool(current) and counts == [wanted] * 3


@pytest.fixture(scope="session")
def operator(kube: Kube, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """The cluster with the operator from `config/default`, ready.

    Whatever the stories did, in the end the operator's log must show no traceback, and a dev
    cluster's audit log nothing that it had no right to, and no Secret. A cluster of the user's is
    left as it was found.
    """
    where = place_of_the_user()
    if where is None:
        kube.kubectl("apply", "--server-side", "-k", str(ROOT / "config" / "default"))
    else:
        where.refuse_what_others_made()
        installation.apply(where, NAMES)
    try:
        eventually("operator ready", lambda: operator_is_ready(kube), within_s=120)
        yield kube
        expect_no_traceback(kube)
        if where is None:
            expect_no_overreach(request.getfixturevalue("cluster_name"))
    finally:
        if where is not None:
            where.remove()


def place_of_the_user() -> existing.Existing | None:
    """The existing cluster that this run was given, if it was."""
    context = os.environ.get(CONTEXT)
    return existing.Existing(context, made_by="tests") if context else None


def expect_no_traceback(kube: Kube) -> None:
    """Look through the logs of the operator's pods."""
    for pod in kube.list("Pod", OPERATOR_NS):
        log = kube.kubectl("logs", "-n", OPERATOR_NS, pod["metadata"]["name"], "--tail=-1")
        assert "Traceback" not in log, log[-4000:]


def expect_no_overreach(cluster_name: str) -> None:
    """Look through the audit log for what the operator was refused, and for Secrets."""
    user = f"system:serviceaccount:{OPERATOR_NS}:{OPERATOR}"
    made = list(audit.requests(cluster_name, user=user))
    assert made
    secrets = [r for r in made if r.resource == "secrets"]
    assert {(r.namespace, r.name) for r in secrets} <= {(OPERATOR_NS, secret.NAME)}
    assert [str(r) for r in made if r.forbidden] == []


@pytest.fixture
def ns(operator: Kube, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own with restricted pod security; removed afterwards."""
    name = f"e2e-{next(_numbers)}-{request.module.__name__.rpartition('test_')[2]}"
    name = name.replace("_", "-")[:50].rstrip("-")
    # Of an earlier run on the same cluster, which may still be on its way out.
    eventually("no such namespace", lambda: operator.get("Namespace", name) is None, within_s=90)
    operator.apply(builders.namespace(name))
    yield name
    operator.delete("Namespace", name)
