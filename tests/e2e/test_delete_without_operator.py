"""Nothing waits for a dead operator: deletion needs only Kubernetes (I11)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import builders
from tests.builders import agent, system
from tests.e2e.conftest import OPERATOR, OPERATOR_NS, operator_is_ready
from tests.kube import Kube, eventually


@pytest.fixture
def stopped_later(operator: Kube) -> Iterator[Kube]:
    """The cluster; the operator runs again afterwards."""
    yield operator
    operator.patch("Deployment", OPERATOR, OPERATOR_NS, {"spec": {"replicas": 2}})
    eventually("operator back", lambda: operator_is_ready(operator), within_s=120)


def stop_operator(kube: Kube) -> None:
    kube.patch("Deployment", OPERATOR, OPERATOR_NS, {"spec": {"replicas": 0}})
    eventually("no operator", lambda: not kube.list("Pod", OPERATOR_NS), within_s=60)


def test_a_system_and_a_namespace_go_while_the_operator_is_stopped(
    stopped_later: Kube, ns: str
) -> None:
    """Both within 60 s; the volume's claim of the deleted system stays with its data."""
    kube, second = stopped_later, f"{ns}-b"
    kube.apply(builders.namespace(second))
    sqlite = {"sessions": {"store": "SQLite"}}
    kube.apply(system("gone", ns, agents=[agent("front")], memory=sqlite))
    kube.apply(system("gone", second, agents=[agent("front"), agent("aside")]))
    for where in (ns, second):
        kube.kubectl("wait", "-n", where, "--for=condition=Ready", "asys/gone", "--timeout=120s")
    stop_operator(kube)

    kube.delete("AgentSystem", "gone", ns)
    kube.delete("Namespace", second)

    owned = "agentsystem.dev/system=gone"
    kinds = ("Deployment", "ReplicaSet", "Pod", "Service", "ConfigMap", "ControllerRevision")
    eventually(
        "no child left",
        lambda: not any(kube.list(kind, ns, labels=owned) for kind in kinds),
        within_s=60,
    )
    eventually("no namespace left", lambda: kube.get("Namespace", second) is None, within_s=60)
    assert len(kube.list("PersistentVolumeClaim", ns, labels=owned)) == 1
