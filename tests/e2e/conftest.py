"""The operator installed as a user installs it, and namespaces to work in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests import audit, builders
from tests.conftest import ROOT
from tests.kube import Kube, eventually

OPERATOR_NS = "agentsystem-system"
OPERATOR = "agentsystem-operator"
_numbers = itertools.count(1)


def operator_is_ready(kube: Kube) -> bool:
    """Say whether all replicas of the operator are available and current."""
    found = kube.get("Deployment", OPERATOR, OPERATOR_NS)
    assert found is not None
    wanted, status = found["spec"]["replicas"], found.get("status", {})
    counts = [status.get(f"{which}eplicas", 0) for which in ("updatedR", "availableR", "r")]
    current = status.get("observedGeneration") == found["metadata"]["generation"]
    return bool(current) and counts == [wanted] * 3


@pytest.fixture(scope="session")
def operator(kube: Kube, cluster_name: str) -> Iterator[Kube]:
    """The cluster with the operator from `config/default`, ready.

    Whatever the stories did, in the end the operator's log must show no traceback, and the audit
    log nothing that it had no right to, and no Secret.
    """
    kube.kubectl("apply", "--server-side", "-k", str(ROOT / "config" / "default"))
    eventually("operator ready", lambda: operator_is_ready(kube), within_s=120)
    yield kube
    for pod in kube.list("Pod", OPERATOR_NS):
        log = kube.kubectl("logs", "-n", OPERATOR_NS, pod["metadata"]["name"], "--tail=-1")
        assert "Traceback" not in log, log[-4000:]
    user = f"system:serviceaccount:{OPERATOR_NS}:{OPERATOR}"
    made = list(audit.requests(cluster_name, user=user))
    assert made
    assert [str(r) for r in made if r.forbidden or "secrets" in r.resource] == []


@pytest.fixture
def ns(operator: Kube, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own with restricted pod security; removed afterwards."""
    name = f"e2e-{next(_numbers)}-{request.module.__name__.rpartition('test_')[2]}"
    name = name.replace("_", "-")[:50].rstrip("-")
    operator.apply(builders.namespace(name))
    yield name
    operator.delete("Namespace", name)
