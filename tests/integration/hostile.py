"""What the tests of hostile resources share: a system that attacks must not reach."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests import builders
from tests.kube import Kube, conditions, eventually

Object = dict[str, Any]
KINDS = (
    "ConfigMap",
    "ControllerRevision",
    "Deployment",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "Service",
    "ServiceAccount",
)
PROMPT_S = 15.0
"""An edit is carried out in well under a second; the rest is for a busy machine."""
_numbers = itertools.count(1)


@contextmanager
def namespace(kube: Kube, name: str) -> Iterator[str]:
    """A namespace of its own, removed afterwards."""
    full = f"{name}-{next(_numbers)}-{int(time.time())}"
    kube.apply(builders.namespace(full))
    yield full
    kube.delete("Namespace", full)


def snapshot(kube: Kube, ns: str) -> dict[tuple[str, str], tuple[str, str]]:
    """The identity and version of every object in a namespace: equal means untouched."""
    return {
        (kind, live["metadata"]["name"]): (
            live["metadata"]["uid"],
            live["metadata"]["resourceVersion"],
        )
        for kind in KINDS
        for live in kube.list(kind, ns)
    }


def settled(kube: Kube, name: str, ns: str, *, within_s: float = 15) -> Object:
    """Return the system once its status speaks about its current spec and nothing moves."""

    def look() -> Object | None:
        live = kube.get("AgentSystem", name, ns)
        status = (live or {}).get("status", {})
        return live if live and _speaks(status, live["metadata"]["generation"]) else None

    found = eventually(f"{name} settled", look, within_s=within_s)
    assert found is not None
    return found


def _speaks(status: Object, generation: int) -> bool:
    valid = conditions({"status": status}).get("ConfigValid", {})
    revision = status.get("revision", {})
    reached = revision.get("active") == revision.get("desired")
    return status.get("observedGeneration") == generation and (
        reached or valid.get("status") != "True"
    )


def asleep(name: str, ns: str, **spec: Any) -> Object:
    """A system of agents without pods: it settles where there are no nodes."""
    agents = spec.pop("agents", None) or [builders.agent()]
    return builders.system(name, ns, agents=[{"replicas": 0, **each} for each in agents], **spec)


def complaint(kube: Kube, name: str, ns: str, reason: str) -> str:
    """Return what ConfigValid says once it is False for that reason."""

    def look() -> str:
        found = conditions(kube.get("AgentSystem", name, ns)).get("ConfigValid", {})
        return str(found["message"]) if found.get("reason") == reason else ""

    return eventually(f"{reason} of {name}", look, within_s=15)


class Bystander:
    """A system in a namespace of its own that must be served promptly whatever others do."""

    def __init__(self, kube: Kube, ns: str) -> None:
        self._kube = kube
        self._ns = ns
        self._texts = itertools.cycle(("To.", "And back."))
        kube.apply(asleep("victim", ns))
        settled(kube, "victim", ns)
        self._before = snapshot(kube, ns)

    def is_untouched(self) -> bool:
        """Whether not one of its objects has changed."""
        return snapshot(self._kube, self._ns) == self._before

    def is_served_promptly(self) -> bool:
        """Edit it, and see the edit in its Deployment."""
        before = self._revision()
        agents = [builders.agent(instructions=next(self._texts))]
        self._kube.apply(asleep("victim", self._ns, agents=agents))
        eventually("carried out", lambda: self._revision() != before, within_s=PROMPT_S)
        settled(self._kube, "victim", self._ns)
        self._before = snapshot(self._kube, self._ns)
        return True

    def _revision(self) -> str:
        live = self._kube.get("Deployment", "victim--front-a", self._ns)
        assert live is not None
        labels = live["spec"]["template"]["metadata"]["labels"]
        return str(labels["agentsystem.dev/revision"])
