"""All AgentSystems as last seen, packed: the raw bytes of spec and status, and a little metadata.

Filled by kopf's events and by the sweep. Objects arrive in any order and more than once; an older
state of the same object never replaces a newer one. Dicts would take three times the memory.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from agentsystem_operator.model import versions
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.model.system import System


@dataclass(frozen=True, slots=True)
class Packed:
    """One AgentSystem."""

    uid: str
    resource_version: str
    generation: int
    deleting: bool
    spec: bytes
    status: bytes

    def same_content(self, other: "Packed") -> bool:
        """Say whether nothing but the version differs."""
        return replace(self, resource_version=other.resource_version) == other

    def same_wish(self, other: "Packed") -> bool:
        """Say whether at most the status, and what goes with any write, differs."""
        return replace(self, resource_version=other.resource_version, status=other.status) == other


class Store:
    """The AgentSystems by key."""

    def __init__(
        self,
        *,
        changed: Callable[[SystemKey], None],
        status_changed: Callable[[SystemKey], None],
    ) -> None:
        self._changed = changed
        self._status_changed = status_changed
        self._systems: dict[SystemKey, Packed] = {}

    def __len__(self) -> int:
        return len(self._systems)

    def __iter__(self) -> Iterator[SystemKey]:
        return iter(list(self._systems))

    def packed(self, key: SystemKey) -> Packed | None:
        """Return what is stored under a key."""
        return self._systems.get(key)

    def version(self, key: SystemKey) -> str:
        """Return the stored resource version of an AgentSystem; empty when there is none."""
        found = self._systems.get(key)
        return found.resource_version if found else ""

    def get(self, key: SystemKey) -> System | None:
        """Return an AgentSystem as the engine takes it."""
        found = self._systems.get(key)
        if found is None:
            return None
        return System(
            key=key,
            uid=found.uid,
            generation=found.generation,
            deleting=found.deleting,
            spec=orjson.loads(found.spec),
            status=orjson.loads(found.status),
        )

    def put(self, body: Mapping[str, Any]) -> None:
        """Take a whole object as the apiserver shows it; tells when it is news."""
        key, new = key_of(body), _pack(body)
        old = self._systems.get(key)
        if old is not None and versions.is_older(new.resource_version, old.resource_version):
            return
        self._systems[key] = new
        if old is None or not new.same_wish(old):
            self._changed(key)
        elif not new.same_content(old):
            # Mostly our own write, which a watch may show before it is answered.
            self._status_changed(key)

    def remove(self, key: SystemKey, *, uid: str) -> None:
        """Take the deletion of an object; a later one of the same name stays."""
        old = self._systems.get(key)
        if old is not None and old.uid == uid:
            del self._systems[key]
            self._changed(key)

    def status_written(
        self, key: SystemKey, *, uid: str, status: Mapping[str, Any], version: str
    ) -> None:
        """Take our own status write, so that the next pass sees it before the watch tells."""
        old = self._systems.get(key)
        if old is None or old.uid != uid or versions.is_newer(old.resource_version, version):
            return
        self._systems[key] = replace(old, status=_packed_json(status), resource_version=version)

    def distrust(self) -> None:
        """Let any state replace the known ones: the cluster was restored to an older one."""
        for key, known in self._systems.items():
            self._systems[key] = replace(known, resource_version=versions.OLDEST)


def key_of(body: Mapping[str, Any]) -> SystemKey:
    """Return the key of an AgentSystem."""
    return SystemKey(body["metadata"]["namespace"], body["metadata"]["name"])


def _pack(body: Mapping[str, Any]) -> Packed:
    meta = body["metadata"]
    return Packed(
        uid=meta["uid"],
        resource_version=meta.get("resourceVersion", ""),
        generation=meta.get("generation", 0),
        deleting="deletionTimestamp" in meta,
        spec=_packed_json(body.get("spec") or {}),
        status=_packed_json(body.get("status") or {}),
    )


def _packed_json(value: Any) -> bytes:
    # A copy: what orjson returns keeps the kilobytes that it was written into.
    return bytes(memoryview(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)))
