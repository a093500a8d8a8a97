"""What is left of a case when all that differs between two equal ones is taken away.

Uids, versions, times, addresses and the namespace's name go; what was declared, who owns it, and
what the status concludes stays. Two cases with equal fingerprints ended in the same world.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos import canonical
from tests.chaos.admin import Admin
from tests.kube import Object

KINDS = (
    "Deployment",
    "Service",
    "ConfigMap",
    "ServiceAccount",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "ControllerRevision",
    "PersistentVolumeClaim",
    "ReplicaSet",
)
OURS = "app.kubernetes.io/managed-by=agentsystem-operator"
HISTORY = frozenset({"ConfigMap", "ControllerRevision", "PersistentVolumeClaim", "ReplicaSet"})
"""Kinds of which a system may keep objects that its present spec does not ask for."""
_META = ("labels", "annotations")
_FOREIGN = ("deployment.kubernetes.io/", "pv.kubernetes.io/", "volume.", "kubectl.kubernetes.io/")
"""Annotations that the cluster's own controllers write."""
_SPEC = ("clusterIP", "clusterIPs", "volumeName", "healthCheckNodePort")
"""Fields of a spec that the cluster chooses."""
_VOLATILE = frozenset({"pod-template-hash", "agentsystem.dev/intent", "declared"})
"""Hashes over owners' uids and namespaces; what they were made from is compared itself."""

Name = tuple[str, str]
"""Kind and name."""


@dataclass(frozen=True, slots=True)
class World:
    """One system and its children, as far as two equal systems agree."""

    children: Mapping[Name, Object]
    status: Object | None
    """What the status concludes; None when the system does not exist."""
    orphans: tuple[Name, ...] = ()
    """Children whose owner does not exist, or that have none and are no claim."""
    versions: Mapping[Name, str] = field(default_factory=dict)
    """Resource version of everything in the namespace that is not the system's."""


async def world(admin: Admin, ns: str, name: str) -> World:
    """Return the fingerprint of one system in its namespace."""
    system = await admin.get("AgentSystem", name, ns)
    lists = await asyncio.gather(*(admin.list(kind, ns) for kind in KINDS))
    everything = {"system": system, "objects": dict(zip(KINDS, lists, strict=True))}
    return reduced(everything, ns)


def reduced(everything: Object, ns: str) -> World:
    """Return the fingerprint of a namespace as it was read."""
    plain = canonical.without_namespace(everything, ns)
    uids = {plain["system"]["metadata"]["uid"]} if plain["system"] else set()
    children: dict[Name, Object] = {}
    versions: dict[Name, str] = {}
    orphans: list[Name] = []
    for kind, items in plain["objects"].items():
        for item in items:
            meta = item["metadata"]
            ref = (kind, _name(kind, meta))
            if not _is_ours(kind, item):
                versions[ref] = str(meta["resourceVersion"])
                continue
            if ref in children and not item["spec"]["replicas"]:
                continue  # of a template that somebody tampered with, left behind
            children[ref] = _reduced(kind, item)
            if kind != "ReplicaSet" and not _is_owned(kind, meta, uids):
                orphans.append(ref)
    return World(children, _concluded(plain["system"]), tuple(orphans), versions)


def differences(seen: World, wanted: World) -> list[str]:
    """Return how two worlds differ, one line per object; nothing when they are equal."""
    found = [f"{_say(ref)} is missing" for ref in wanted.children.keys() - seen.children.keys()]
    found += [f"{_say(ref)} is too much" for ref in seen.children.keys() - wanted.children.keys()]
    found += [
        f"{_say(ref)} differs: {_diff(seen.children[ref], wanted.children[ref])}"
        for ref in seen.children.keys() & wanted.children.keys()
        if seen.children[ref] != wanted.children[ref]
    ]
    if seen.status != wanted.status:
        found.append(f"status differs: {_diff(seen.status, wanted.status)}")
    return sorted(found)


def without_history(seen: World, *, of: World) -> World:
    """Return a world without what only its past explains: earlier revisions, and their numbers.

    What remains has to equal a fresh install of the same spec.
    """
    children = {
        ref: _unnumbered(ref, child)
        for ref, child in seen.children.items()
        if ref in of.children or ref[0] not in HISTORY
    }
    return World(children, seen.status)


def _unnumbered(ref: Name, child: Object) -> Object:
    if ref[0] != "ControllerRevision":
        return child
    return {key: value for key, value in child.items() if key != "revision"}


def _is_ours(kind: str, item: Object) -> bool:
    """Say whether the operator made it: by its label and, claims aside, by its owner."""
    meta = item["metadata"]
    labels = meta.get("labels") or {}
    if kind == "ReplicaSet":
        return "agentsystem.dev/system" in labels
    if labels.get("app.kubernetes.io/managed-by") != "agentsystem-operator":
        return False
    return kind == "PersistentVolumeClaim" or bool(meta.get("ownerReferences"))


def _is_owned(kind: str, meta: Mapping[str, Any], uids: set[str]) -> bool:
    owners = {owner["uid"] for owner in meta.get("ownerReferences") or []}
    return kind == "PersistentVolumeClaim" or bool(owners & uids)


def _reduced(kind: str, item: Object) -> Object:
    meta = item["metadata"]
    kept: Object = {key: meta[key] for key in _META if key in meta}
    kept["annotations"] = {
        key: value
        for key, value in (meta.get("annotations") or {}).items()
        if not key.startswith(_FOREIGN)
    }
    kept["owners"] = [
        (owner["kind"], owner["name"], owner.get("controller", False))
        for owner in meta.get("ownerReferences") or []
    ]
    rest = {k: v for k, v in item.items() if k not in ("metadata", "status", "kind", "apiVersion")}
    rest["spec"] = {k: v for k, v in (item.get("spec") or {}).items() if k not in _SPEC}
    rest["deleting"] = "deletionTimestamp" in meta
    if kind == "Deployment":
        rest["replicas owned by"] = _owners_of_replicas(meta)
    plain: Object = _without(_VOLATILE, {**kept, **rest})
    return plain


def _without(keys: frozenset[str], value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without(keys, v) for k, v in value.items() if k not in keys}
    return [_without(keys, item) for item in value] if isinstance(value, list | tuple) else value


def _name(kind: str, meta: Mapping[str, Any]) -> str:
    """Return an object's name; of a ReplicaSet, whose name is a hash, what it was made for."""
    if kind != "ReplicaSet":
        return str(meta["name"])
    labels = meta.get("labels") or {}
    return f"{labels.get('agentsystem.dev/agent')}@{labels.get('agentsystem.dev/revision')}"


def _owners_of_replicas(meta: Mapping[str, Any]) -> list[str]:
    return sorted(
        entry["manager"]
        for entry in meta.get("managedFields", [])
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    )


def _concluded(system: Object | None) -> Object | None:
    if system is None:
        return None
    status = system.get("status", {})
    return {
        "conditions": {
            condition["type"]: [condition["status"], condition["reason"]]
            for condition in status.get("conditions", [])
        },
        "observed": status.get("observedGeneration") == system["metadata"]["generation"],
        "revision": status.get("revision"),
        "agents": status.get("agents"),
        "counts": [status.get("readyAgents"), status.get("totalAgents")],
    }


def _diff(seen: Any, wanted: Any, path: str = "") -> str:
    """Return the first few leaves in which two values differ."""
    return "; ".join(_leaves(seen, wanted, path)[:4])


def _leaves(seen: Any, wanted: Any, path: str) -> list[str]:
    if seen == wanted:
        return []
    if isinstance(seen, dict) and isinstance(wanted, dict):
        return [
            leaf
            for key in sorted({*seen, *wanted})
            for leaf in _leaves(seen.get(key), wanted.get(key), f"{path}.{key}")
        ]
    return [f"{path or '.'} is {_short(seen)}, not {_short(wanted)}"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:119] + "…"


def _say(ref: Name) -> str:
    return f"{ref[0]}/{ref[1]}"
