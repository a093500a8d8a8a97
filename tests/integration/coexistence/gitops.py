"""Argo CD and Flux, as far as an AgentSystem and its operator can notice them.

What they send is what their documentation says: Flux applies on the server, with force, as
`kustomize-controller`; Argo CD applies on the client with kubectl, or on the server as
`argocd-controller`, tracks by a label or an annotation, and prunes what has its label, is not in
the repository and has no owner.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests import audit, builders
from tests.integration.coexistence import play
from tests.integration.operator_process import USER
from tests.kube import Kube, conditions

EVERY_S = 3.0
TRACKED_BY = "app.kubernetes.io/instance"
CHILDREN = (
    *("ConfigMap", "ControllerRevision", "Deployment", "NetworkPolicy", "PersistentVolumeClaim"),
    *("PodDisruptionBudget", "Service", "ServiceAccount"),
)

Sync = Callable[[Kube, dict[str, Any]], None]


def flux(kube: Kube, body: dict[str, Any]) -> None:
    labels = {"kustomize.toolkit.fluxcd.io/name": body["metadata"]["name"]}
    kube.apply(_with(body, labels=labels), manager="kustomize-controller")


def argo_on_the_server(kube: Kube, body: dict[str, Any]) -> None:
    kube.apply(_tracked(body), manager="argocd-controller")
    prune(kube, body)


def argo_on_the_client(kube: Kube, body: dict[str, Any]) -> None:
    ns = body["metadata"]["namespace"]
    kube.kubectl("apply", "-n", ns, "-f", "-", stdin=json.dumps(_tracked(body)))
    prune(kube, body)


def _tracked(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body as an Application of the same name tracks it, in both ways at once."""
    name, ns = body["metadata"]["name"], body["metadata"]["namespace"]
    tracking = f"{name}:agentsystem.dev/AgentSystem:{ns}/{name}"
    annotations = {"argocd.argoproj.io/tracking-id": tracking}
    return _with(body, labels={TRACKED_BY: name}, annotations=annotations)


def _with(body: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {**body, "metadata": {**body["metadata"], **metadata}}


def prune(kube: Kube, body: dict[str, Any]) -> None:
    """Delete what carries the Application's name, has no owner and is not in the repository."""
    name, ns = body["metadata"]["name"], body["metadata"]["namespace"]
    for kind in CHILDREN:
        for found in kube.list(kind, ns, labels=f"{TRACKED_BY}={name}"):
            if not found["metadata"].get("ownerReferences"):
                kube.delete(kind, found["metadata"]["name"], ns)


@dataclass(frozen=True)
class Repository:
    """What one tool holds of one system."""

    name: str
    sync: Sync
    spec: dict[str, Any]


SQLITE = {"memory": {"sessions": {"store": "SQLite"}}}
REPOSITORIES = (
    Repository("flux", flux, {"agents": [builders.agent(replicas=2)]}),
    Repository("argo-server", argo_on_the_server, SQLITE),
    Repository("argo-client", argo_on_the_client, SQLITE),
)


@dataclass(frozen=True)
class Seen:
    """What must not move while tools apply what is there already."""

    generations: dict[str, int]
    transitions: dict[str, str]
    statuses: dict[str, Any]
    children: dict[str, str]
    """Resource version and uid of each object of the operator's."""


def look(kube: Kube, ns: str) -> Seen:
    systems = {live["metadata"]["name"]: live for live in kube.list("AgentSystem", ns)}
    return Seen(
        generations={name: live["metadata"]["generation"] for name, live in systems.items()},
        transitions={
            f"{name} {kind}": each["lastTransitionTime"]
            for name, live in systems.items()
            for kind, each in conditions(live).items()
        },
        statuses={name: live["status"] for name, live in systems.items()},
        children={
            f"{kind} {live['metadata']['name']}": (
                f"{live['metadata']['uid']} {live['metadata']['resourceVersion']}"
            )
            for kind in CHILDREN
            for live in kube.list(kind, ns, labels="agentsystem.dev/system")
        },
    )


@dataclass(frozen=True)
class Count:
    """What happened meanwhile."""

    syncs: int
    writes: list[str]
    before: Seen
    after: Seen


def beside(kube: Kube, cluster: str, ns: str, *, for_s: float) -> Count:
    """Let every tool apply its repository again and again, and count what comes of it."""
    bodies = [(each.sync, builders.system(each.name, ns, **each.spec)) for each in REPOSITORIES]
    for sync, body in bodies:
        sync(kube, body)
    play.until_ready(kube, *(each.name for each in REPOSITORIES), ns=ns, within_s=60)
    time.sleep(12)  # counts are written once after 10 s without movement
    before, began, syncs = look(kube, ns), datetime.now(UTC), 0
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        for sync, body in bodies:
            sync(kube, body)
        syncs += 1
        time.sleep(EVERY_S)
    written = [
        str(write) for write in audit.writes(cluster, user=USER, namespace=ns) if write.at >= began
    ]
    return Count(syncs, written, before, look(kube, ns))
