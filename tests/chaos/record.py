"""What passed through a chaos proxy: every request with its outcome, in the order of arrival."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.faults import WRITES, Asked, Fault, chance

CREATED = 201
OBJECT = tuple[str, str]
"""Plural resource and name."""


@dataclass(slots=True)
class Entry:
    """One request and what became of it."""

    asked: Asked
    began: float
    """On the monotonic clock, when it arrived."""
    fault: Fault | None = None
    upstream: int | None = None
    """Status that the apiserver answered; None when it was not asked, or has not answered yet."""
    answered: float | None = None
    """On the monotonic clock, when the apiserver answered."""
    replied: int | None = None
    """Status that the operator was answered; None when it never was."""

    @property
    def is_committed(self) -> bool:
        """Say whether the apiserver did what it was asked."""
        return self.upstream is not None and self.upstream < 300

    def __str__(self) -> str:
        fault = f" [{self.fault}]" if self.fault else ""
        return f"#{self.asked.write or '-'} {self.asked} -> {self.upstream}/{self.replied}{fault}"


@dataclass(slots=True)
class Record:
    """All requests of one proxy."""

    seed: int = 0
    entries: list[Entry] = field(default_factory=list)
    _writes: int = 0
    _alike: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def begin(self, method: str, path: str, query: dict[str, str]) -> Entry:
        """Number a request and remember it."""
        verb, resource, namespace, name = parse(method, path, query)
        alike = (verb, resource, name)
        self._alike[alike] += 1
        is_write = verb in WRITES and resource != "leases"
        self._writes += is_write
        asked = Asked(
            number=len(self.entries) + 1,
            write=self._writes if is_write else 0,
            nth=self._alike[alike],
            verb=verb,
            resource=resource,
            namespace=namespace,
            name=name,
            roll=chance(self.seed, *alike, self._alike[alike]),
        )
        entry = Entry(asked, time.monotonic())
        self.entries.append(entry)
        return entry

    @property
    def written(self) -> int:
        """Return how many writes arrived: what `faults.at_write` counts from."""
        return self._writes

    def writes(self, *, since: float = 0.0) -> list[Entry]:
        """Return the writes that arrived since then, Leases aside, whatever became of them."""
        return [e for e in self.entries if e.asked.is_write and e.began >= since]

    def last_write(self) -> float:
        """Return when the last write arrived, 0 when there was none."""
        return next((e.began for e in reversed(self.entries) if e.asked.is_write), 0.0)

    def created(self) -> list[OBJECT]:
        """Return what was created, in order; what was created twice, twice."""
        return [object_of(e) for e in self.committed() if e.upstream == CREATED]

    def deleted(self) -> list[OBJECT]:
        """Return what was deleted, in order."""
        return [object_of(e) for e in self.committed() if e.asked.verb == "delete"]

    def touched(self) -> list[OBJECT]:
        """Return what was written, in order; a subresource counts as its object."""
        return [object_of(e) for e in self.committed()]

    def committed(self) -> list[Entry]:
        """Return the writes that the apiserver did, Leases and Events aside."""
        return [e for e in self.entries if e.asked.is_write and e.is_committed and e.asked.name]


def object_of(entry: Entry) -> OBJECT:
    """Return what a request is about."""
    return entry.asked.resource.partition("/")[0], entry.asked.name


_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def parse(method: str, path: str, query: dict[str, str]) -> tuple[str, str, str, str]:
    """Return verb, resource, namespace and name of a request.

    `/apis/apps/v1/namespaces/shop/deployments/one/scale` by PATCH is patch, deployments/scale,
    shop, one. What is not about a resource is a get of its path.
    """
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:] if parts[0] == "apis" else []
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    if not rest:
        return "get", path, "", ""
    name = rest[1] if len(rest) > 1 else ""
    resource = "/".join([rest[0], *rest[2:]])
    if method != "GET":
        return _VERBS[method], resource, namespace, name
    if query.get("watch") in ("1", "true"):
        return "watch", resource, namespace, name
    return "get" if name else "list", resource, namespace, name
