"""Every right that the operator has was used by the tests, and it tried nothing beyond its rights.

Runs last of all integration tests (see conftest.py), and reads the apiserver's audit log. What the
others do not happen to need is done by a story of its own, so that this file also passes alone.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from agentsystem_operator.adapters.channel import secret
from tests import audit, builders, ports
from tests.conftest import ROOT
from tests.integration.crd import serve
from tests.integration.operator_process import NAMESPACE, USER, account, operator
from tests.kube import Kube, eventually

Right = tuple[str, str, str]
"""API group, resource (with its subresource) and verb."""
ROLES = (
    "config/rbac/operator.yaml",
    "config/rbac/account/channel.yaml",
    "config/rbac/account/leader.yaml",
)
EVERY_ACCOUNT_MAY = "/"
"""Paths that are no resource: Kubernetes lets every account read which kinds there are."""
CHILDREN = ("Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy")


def granted() -> set[Right]:
    """All rights of the operator's account, written out."""
    return {
        (group, resource, verb)
        for file in ROLES
        for role in yaml.safe_load_all((ROOT / file).read_text())
        for rule in role.get("rules", [])
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def needed(request: audit.Request) -> Iterator[Right]:
    """The rights that a request needed: an apply that creates needs two."""
    if request.resource.startswith(EVERY_ACCOUNT_MAY):
        return
    yield request.group, request.resource, request.verb
    if (request.verb, request.code) == ("patch", 201):
        yield request.group, request.resource, "create"


@pytest.fixture(scope="module")
def requests(
    kube: Kube, cluster_name: str, tmp_path_factory: pytest.TempPathFactory
) -> list[audit.Request]:
    """Everything that the operator's account asked for, the story below included."""
    serve(kube)
    folder = tmp_path_factory.mktemp("rights")
    credentials = account(kube, folder)
    # An authority is made only where there is none, and a test before may have left one.
    kube.patch("Secret", secret.NAME, NAMESPACE, {"data": None})
    ns = f"rights-{int(time.time())}"
    kube.apply(builders.namespace(ns))
    try:
        channel = ("--channel", f"127.0.0.1:{ports.free()}")
        with operator(credentials, folder / "log", "--identity", "rights", *channel):
            _live_a_full_life(kube, ns)
            _have_a_channel(kube, ns)
    finally:
        kube.delete("Namespace", ns)
    return list(audit.requests(cluster_name, user=USER))


def _live_a_full_life(kube: Kube, ns: str) -> None:
    """A system with sessions on disk is made, changed often, scaled, loses an agent, is spoiled."""

    def apply(text: str, *, agents: tuple[str, ...] = ("front", "back"), replicas: int = 0) -> None:
        team = [builders.agent(name, instructions=text, replicas=replicas) for name in agents]
        sessions: dict[str, Any] = {"sessions": {"store": "SQLite"}}
        workflow = {"entry": "front"}
        kube.apply(builders.system("one", ns, agents=team, memory=sessions, workflow=workflow))
        eventually("it is carried out", lambda: _ready(kube, ns), within_s=30)

    for number in range(13):  # old revisions are kept for a while
        apply(f"Number {number}.")
    eventually("old records are removed", lambda: len(_records(kube, ns)) < 13, within_s=30)
    kube.patch("Deployment", "one--front-a", ns, {"spec": {"replicas": 3}})
    eventually("scaled back", lambda: _replicas(kube, ns) == 0, within_s=15)
    apply("Number 12.", agents=("front",))
    eventually("back is removed", lambda: not _of_back(kube, ns), within_s=30)
    assert kube.get("PersistentVolumeClaim", "one--back", ns) is not None


def _have_a_channel(kube: Kube, ns: str) -> None:
    """The authority is in the Secret, and its certificate alone in the pods' ConfigMap."""
    held = kube.get("Secret", secret.NAME, NAMESPACE)
    assert held is not None
    assert set(held["data"]) == {"ca.crt", "ca.key"}

    def bundle() -> str:
        given = kube.get("ConfigMap", "one--ca", ns) or {}
        return str(given.get("data", {}).get("ca.crt", ""))

    certificate = base64.b64decode(held["data"]["ca.crt"]).decode()
    eventually("pods are told whom to trust", lambda: bundle() == certificate, within_s=20)


def _ready(kube: Kube, ns: str) -> bool:
    """Whether everything runs that is wanted: with 0 replicas a rollout needs no node."""
    live = kube.get("AgentSystem", "one", ns) or {}
    revision = live.get("status", {}).get("revision", {})
    seen = live.get("status", {}).get("observedGeneration") == live["metadata"]["generation"]
    return bool(seen and revision.get("active") == revision.get("desired"))


def _records(kube: Kube, ns: str) -> list[dict[str, Any]]:
    return kube.list("ControllerRevision", ns)


def _replicas(kube: Kube, ns: str) -> int:
    live = kube.get("Deployment", "one--front-a", ns)
    assert live is not None
    replicas: int = live["spec"]["replicas"]
    return replicas


def _of_back(kube: Kube, ns: str) -> list[dict[str, Any]]:
    labels = "agentsystem.dev/agent=back"
    return [item for kind in CHILDREN for item in kube.list(kind, ns, labels=labels)]


def test_every_right_was_used(requests: list[audit.Request]) -> None:
    used = {right for request in requests for right in needed(request)}

    assert sorted(granted() - used) == []


def test_nothing_beyond_the_rights_was_tried(requests: list[audit.Request]) -> None:
    """A right that is missing shows nowhere as plainly as here: 403 is retried, not raised.

    An apiserver that has just started refuses everybody everything until it has read the roles, so
    a 403 by itself tells nothing; what was asked for does.
    """
    used = {right for request in requests for right in needed(request)}

    assert sorted(used - granted()) == []


def test_no_secret_was_touched_but_its_own(requests: list[audit.Request]) -> None:
    touched = {(r.namespace, r.name) for r in requests if r.resource.startswith("secrets")}

    assert touched == {(NAMESPACE, secret.NAME)}


def test_lease_and_secret_are_all_that_it_touched_in_its_own_namespace(
    requests: list[audit.Request],
) -> None:
    own = {request.resource for request in requests if request.namespace == NAMESPACE}

    assert own == {"leases", "secrets"}
