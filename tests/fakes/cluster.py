"""A cluster in memory: objects, who owns which field, and an audit of writes.

Passes the same contract suite as the real adapter (tests/contract/cluster). Lists are values here
as a whole, except where server-side apply merges them by key for ownership.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from agentsystem_operator import ports
from agentsystem_operator.adapters import projections
from agentsystem_operator.model import evaluation, observed, ownership
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.references import Kind, Ref, SystemKey

Object = dict[str, Any]


@dataclass
class _Live:
    body: Object
    main: dict[str, Any] = field(default_factory=dict)
    """fieldsV1 of the main manager."""
    scale_owns_replicas: bool = False


@dataclass
class _System:
    body: Object
    status_manager: Object = field(default_factory=dict)


class FakeCluster:
    """Implements `ports.Cluster` and `ports.Systems`."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._objects: dict[Ref, _Live] = {}
        self._config_maps: dict[tuple[str, str], dict[str, str]] = {}
        self._systems: dict[SystemKey, _System] = {}
        self._events: dict[tuple[SystemKey, str, evaluation.Event], None] = {}
        self.writes: list[str] = []
        self.reads: list[str] = []
        self.faults: list[Exception | None] = []
        """Raised by the next writes, one each; None lets one pass."""
        self.cluster_keys: str | observed.Unknown = '{"keys":[]}'
        self.list_version = ""
        self.closed: set[str | None] = set()
        """Namespaces whose systems may not be listed."""
        """Version of the next lists, if not that of the moment."""

    # What tests do to the cluster

    def add_system(self, key: SystemKey, spec: Mapping[str, Any], *, uid: str = "") -> Object:
        """Create an AgentSystem as a user would; returns it as the apiserver shows it."""
        meta = {"name": key.name, "namespace": key.namespace, "generation": 1}
        meta["uid"] = uid or f"system-{next(self._numbers)}"
        meta["resourceVersion"] = str(next(self._numbers))
        body = {"metadata": meta, "spec": copy.deepcopy(dict(spec)), "status": {}}
        self._systems[key] = _System(body)
        return copy.deepcopy(body)

    def edit_system(self, key: SystemKey, spec: Mapping[str, Any]) -> Object:
        """Change the spec as a user would."""
        body = self._systems[key].body
        body["spec"] = copy.deepcopy(dict(spec))
        body["metadata"]["generation"] += 1
        body["metadata"]["resourceVersion"] = str(next(self._numbers))
        return copy.deepcopy(body)

    def remove_system(self, key: SystemKey) -> None:
        del self._systems[key]

    def system(self, key: SystemKey) -> Object:
        """Return an AgentSystem as the apiserver shows it."""
        return copy.deepcopy(self._systems[key].body)

    def status(self, key: SystemKey) -> Object:
        found: Object = self._systems[key].body["status"]
        return found

    def add_config_map(self, namespace: str, name: str, data: dict[str, str]) -> None:
        self._config_maps[namespace, name] = data

    def add_foreign(self, ref: Ref, body: Mapping[str, Any]) -> None:
        """Create an object by another manager."""
        whole = copy.deepcopy(dict(body))
        whole["metadata"]["uid"] = f"uid-{next(self._numbers)}"
        self._objects[ref] = self._touch(_Live(whole))

    def tamper(self, ref: Ref, *path: str, value: Any) -> None:
        """Set a field as another manager, which takes its ownership from ours."""
        live = self._objects[ref]
        _put(live.body, path, value)
        _default_strategy(live.body)
        _cut(live.main, [f"f:{part}" for part in path])
        self._touch(live)

    def body(self, ref: Ref) -> Object:
        return self._objects[ref].body

    def child(self, ref: Ref) -> observed.Child:
        """Return the projection that a watch would show."""
        return self._project(ref, self._objects[ref])

    def children(self) -> list[observed.Child]:
        return [self.child(ref) for ref in self._objects]

    @property
    def events(self) -> list[tuple[SystemKey, str, evaluation.Event]]:
        """All Events, in the order in which they were first sent."""
        return list(self._events)

    # ports.Cluster

    async def read(self, ref: Ref, *, owner_uid: str) -> observed.Looked:
        self.reads.append(f"read {ref}")
        live = self._objects.get(ref)
        if live is None:
            return observed.Absent()
        child = self._project(ref, live)
        ours = child.controller_uid == owner_uid
        if ref.kind is Kind.PERSISTENT_VOLUME_CLAIM:
            ours = child.system == ref.name.partition("--")[0]
        if ours:
            return child
        owners = live.body["metadata"].get("ownerReferences", [])
        names = [f"{o['kind']}/{o['name']}" for o in owners if o.get("controller")]
        return observed.Taken(names[0] if names else "")

    async def read_config_map(
        self, namespace: str, name: str
    ) -> observed.Text | observed.Absent | observed.Unknown:
        self.reads.append(f"read ConfigMap '{name}'")
        data = self._config_maps.get((namespace, name))
        return observed.Absent() if data is None else observed.Text(dict(data))

    async def read_cluster_keys(self) -> str | observed.Unknown:
        self.reads.append("read keys of the cluster")
        return self.cluster_keys

    async def identify(self, key: SystemKey) -> ports.Identity | observed.Absent | observed.Unknown:
        self.reads.append(f"identify {key}")
        found = self._systems.get(key)
        if found is None:
            return observed.Absent()
        meta = found.body["metadata"]
        return ports.Identity(meta["uid"], meta["generation"], "deletionTimestamp" in meta)

    async def apply(self, manifest: Manifest, *, uid: str | None) -> observed.Child:
        ref = manifest.ref
        self._write(f"apply {ref}")
        live = self._objects.get(ref)
        self._check_apply(live, uid)
        if manifest.body.get("spec", {}).get("replicas") == "wrong":
            raise ports.Refused("spec.replicas: expected numeric", status=400)
        if live is not None and _mixes_strategies(live, manifest.body):
            raise ports.Refused("spec.strategy.rollingUpdate: Forbidden", status=422)
        before = copy.deepcopy(live)
        if live is None:
            body = {**manifest.body, "metadata": {"uid": f"uid-{next(self._numbers)}"}}
            live = self._objects[ref] = _Live(copy.deepcopy(body))
        fields = ownership.owned_fields(ref.kind, manifest.body)
        if "replicas" in manifest.body.get("spec", {}) and ref.kind is Kind.DEPLOYMENT:
            fields["f:spec"]["f:replicas"] = {}
        _merge(live.body, manifest.body)
        _forget_strategy(live.body, manifest.body)
        live.main = fields
        if before is None or (before.body, before.main) != (live.body, live.main):
            self._touch(live)
        return self._project(ref, live)

    async def hand_over_replicas(self, ref: Ref, *, uid: str) -> observed.Child:
        self._write(f"hand over {ref}")
        live = self._same(ref, uid)
        live.main.get("f:spec", {}).pop("f:replicas", None)
        live.scale_owns_replicas = True
        return self._project(ref, self._touch(live))

    async def set_recreate(self, ref: Ref, *, uid: str) -> observed.Child:
        self._write(f"set {ref} to Recreate")
        live = self._same(ref, uid)
        live.body["spec"]["strategy"] = {"type": "Recreate"}
        return self._project(ref, self._touch(live))

    async def scale(self, ref: Ref, *, uid: str, replicas: int) -> str:
        self._write(f"scale {ref} {replicas}")
        live = self._same(ref, uid)
        live.body["spec"]["replicas"] = replicas
        live.scale_owns_replicas = True
        live.main.get("f:spec", {}).pop("f:replicas", None)
        version: str = self._touch(live).body["metadata"]["resourceVersion"]
        return version

    async def delete(self, ref: Ref, *, uid: str) -> None:
        self._write(f"delete {ref}")
        if ref in self._objects:
            self._same(ref, uid)
            del self._objects[ref]

    async def write_status(self, key: SystemKey, *, version: str, status: Mapping[str, Any]) -> str:
        self._write(f"status {key}")
        found = self._systems.get(key)
        if found is None:
            raise ports.Gone("404 NotFound")
        meta = found.body["metadata"]
        if meta["resourceVersion"] != version:
            raise ports.ConflictLost("409 Conflict")
        if found.body["status"] != status:
            found.body["status"] = copy.deepcopy(dict(status))
            meta["resourceVersion"] = str(next(self._numbers))
        written: str = meta["resourceVersion"]
        return written

    async def send_event(self, key: SystemKey, *, uid: str, event: evaluation.Event) -> None:
        self._write(f"event {event.reason}")
        self._events[key, uid, event] = None

    # ports.Systems

    async def list_identities(
        self, scope: str | None
    ) -> tuple[str, Mapping[SystemKey, ports.Listed]]:
        self.reads.append("list systems" + (f" of {scope}" if scope else ""))
        if scope in self.closed:
            raise ports.Refused("forbidden", status=403)
        metas = {
            key: found.body["metadata"]
            for key, found in self._systems.items()
            if scope in (None, key.namespace)
        }
        return self.list_version or str(next(self._numbers)), {
            key: ports.Listed(meta["uid"], meta["resourceVersion"]) for key, meta in metas.items()
        }

    async def fetch(self, key: SystemKey) -> Mapping[str, Any] | None:
        self.reads.append(f"fetch {key}")
        found = self._systems.get(key)
        return None if found is None else copy.deepcopy(found.body)

    # Inside

    def _write(self, what: str) -> None:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        self.writes.append(what)

    def _check_apply(self, live: _Live | None, uid: str | None) -> None:
        if (live.body["metadata"]["uid"] if live else None) != uid:
            raise ports.ConflictLost("409 Conflict")

    def _same(self, ref: Ref, uid: str) -> _Live:
        live = self._objects.get(ref)
        if live is None:
            raise ports.Gone("404 NotFound")
        if live.body["metadata"]["uid"] != uid:
            raise ports.ConflictLost("409 Conflict")
        return live

    def _touch(self, live: _Live) -> _Live:
        meta = live.body["metadata"]
        meta["resourceVersion"] = str(next(self._numbers))
        meta["generation"] = meta.get("generation", 0) + 1
        return live

    def _project(self, ref: Ref, live: _Live) -> observed.Child:
        managed = []
        if live.main:
            managed.append(_entry(projections.MAIN_MANAGER, "", live.main))
        if live.scale_owns_replicas:
            managed.append(
                _entry(projections.SCALE_MANAGER, "scale", {"f:spec": {"f:replicas": {}}})
            )
        meta = {**live.body["metadata"], "managedFields": managed}
        return projections.decoder(ref.kind)(orjson.dumps({**live.body, "metadata": meta}))


def _entry(manager: str, sub: str, fields: Mapping[str, Any]) -> Object:
    entry = {"manager": manager, "operation": "Apply", "fieldsV1": fields}
    return {**entry, "subresource": sub} if sub else entry


def _merge(into: Object, new: Mapping[str, Any]) -> None:
    for key, value in new.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


_ROLLS_BY_DEFAULT = {"maxSurge": "25%", "maxUnavailable": "25%"}


def _default_strategy(body: Object) -> None:
    strategy = body.get("spec", {}).get("strategy")
    if strategy and strategy.get("type") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", dict(_ROLLS_BY_DEFAULT))


def _mixes_strategies(live: _Live, new: Mapping[str, Any]) -> bool:
    """Say whether an apply of Recreate would keep a `rollingUpdate` that is not ours to drop."""
    ours = live.main.get("f:spec", {}).get("f:strategy", {})
    rolls = "rollingUpdate" in live.body.get("spec", {}).get("strategy", {})
    recreates = new.get("spec", {}).get("strategy", {}).get("type") == "Recreate"
    return recreates and rolls and "f:rollingUpdate" not in ours


def _forget_strategy(body: Object, new: Mapping[str, Any]) -> None:
    """Drop what an apply states no more, for the one field that this matters for."""
    if "strategy" in new.get("spec", {}):
        body["spec"]["strategy"] = copy.deepcopy(dict(new["spec"]["strategy"]))


def _put(body: Object, path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        body = body.setdefault(part, {})
    body[path[-1]] = value


def _cut(fields: Object, path: list[str]) -> None:
    """Remove a path, and the first part above it that is a leaf (an atomic map) otherwise."""
    for index, part in enumerate(path):
        if index == len(path) - 1 or not fields.get(part):
            fields.pop(part, None)
            return
        fields = fields[part]
