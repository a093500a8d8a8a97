"""Which fields server-side apply records as ours, computed without asking the apiserver.

The operator keeps no whole bodies; it compares a digest of the fields that its manager owns in the
cluster with the digest computed here. A tampered field leaves our ownership, so the digests differ
and the child is applied again. A kind whose shape is described wrongly below costs one extra apply
per restart, never a loop (`Remembered.accepted_ownership`). Everything may import this.

The rules are those of structured-merge-diff: a scalar or atomic value is one leaf; a keyed list has
a member `k:{...}` per item, with "." for the item itself when something of it is owned apart.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from agentsystem_operator.model import hashing
from agentsystem_operator.model.references import Kind

Fields = dict[str, Any]

_POD = "spec.template.spec"
_CONTAINER = f"{_POD}.containers[]"


@dataclass(frozen=True, slots=True)
class Shape:
    """How one kind departs from "maps are merged, everything else is a leaf"."""

    keyed: Mapping[str, tuple[str, ...]]
    """Paths of lists that are merged by key, with the key fields in alphabetical order."""
    atomic: frozenset[str]
    """Paths of maps that are owned as a whole."""


_METADATA_KEYED = {"metadata.ownerReferences": ("uid",)}
_METADATA_ATOMIC = frozenset({"metadata.ownerReferences[]"})
_PLAIN = Shape(_METADATA_KEYED, _METADATA_ATOMIC)

SHAPES: Mapping[Kind, Shape] = {
    Kind.CONFIG_MAP: _PLAIN,
    Kind.CONTROLLER_REVISION: Shape(_METADATA_KEYED, _METADATA_ATOMIC | {"data"}),
    Kind.NETWORK_POLICY: Shape(_METADATA_KEYED, _METADATA_ATOMIC | {"spec.podSelector"}),
    Kind.PERSISTENT_VOLUME_CLAIM: _PLAIN,
    Kind.POD_DISRUPTION_BUDGET: Shape(_METADATA_KEYED, _METADATA_ATOMIC | {"spec.selector"}),
    Kind.SERVICE_ACCOUNT: _PLAIN,
    Kind.SERVICE: Shape(
        {**_METADATA_KEYED, "spec.ports": ("port", "protocol")},
        _METADATA_ATOMIC | {"spec.selector"},
    ),
    Kind.DEPLOYMENT: Shape(
        {
            **_METADATA_KEYED,
            f"{_POD}.containers": ("name",),
            f"{_POD}.imagePullSecrets": ("name",),
            f"{_POD}.topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
            f"{_POD}.volumes": ("name",),
            f"{_CONTAINER}.env": ("name",),
            f"{_CONTAINER}.ports": ("containerPort", "protocol"),
            f"{_CONTAINER}.volumeMounts": ("mountPath",),
        },
        _METADATA_ATOMIC
        | {
            "spec.selector",
            f"{_POD}.imagePullSecrets[]",
            f"{_POD}.topologySpreadConstraints[].labelSelector",
            f"{_CONTAINER}.env[].valueFrom.fieldRef",
        },
    ),
}

# Identity, not content: server-side apply never records these.
_IDENTITY = frozenset({"name", "namespace", "uid", "resourceVersion"})


def owned_fields(kind: Kind, body: Mapping[str, Any]) -> Fields:
    """Return the fieldsV1 set that applying `body` gives its manager, replicas aside."""
    content = {key: value for key, value in body.items() if key not in ("apiVersion", "kind")}
    content["metadata"] = {k: v for k, v in body["metadata"].items() if k not in _IDENTITY}
    fields = _of_map(content, "", SHAPES[kind])
    return without_replicas(kind, fields)


def without_replicas(kind: Kind, fields: Mapping[str, Any]) -> Fields:
    """Return the set without a Deployment's replicas, whose owner is told apart elsewhere."""
    spec = fields.get("f:spec")
    if kind is not Kind.DEPLOYMENT or not isinstance(spec, Mapping) or "f:replicas" not in spec:
        return dict(fields)
    return {**fields, "f:spec": {k: v for k, v in spec.items() if k != "f:replicas"}}


def digest(fields: Mapping[str, Any]) -> str:
    """Return the digest by which two fieldsV1 sets are compared."""
    return hashing.of(fields)


def of_manifest(kind: Kind, body: Mapping[str, Any]) -> str:
    """Return the digest of what our manager owns after applying `body`."""
    return digest(owned_fields(kind, body))


def of_live(kind: Kind, fields: Mapping[str, Any]) -> str:
    """Return the same digest of a fieldsV1 set as found in managedFields."""
    return digest(without_replicas(kind, fields))


def _of_map(value: Mapping[str, Any], path: str, shape: Shape) -> Fields:
    fields: Fields = {}
    for key, item in value.items():
        here = f"{path}.{key}" if path else key
        fields[f"f:{key}"] = _of_value(item, here, shape)
    return fields


def _of_value(value: Any, path: str, shape: Shape) -> Fields:
    # The builders make plain dicts and lists; asking for Mapping is ten times slower, and this
    # runs for every value of every child in every pass.
    if isinstance(value, dict):
        return {} if path in shape.atomic else _of_map(value, path, shape)
    if isinstance(value, list) and path in shape.keyed:
        return dict(_of_items(value, path, shape))
    return {}


def _of_items(
    items: Sequence[Mapping[str, Any]], path: str, shape: Shape
) -> Iterator[tuple[str, Fields]]:
    keys = shape.keyed[path]
    for item in items:
        member = orjson.dumps({key: item[key] for key in keys}).decode()
        below = _of_value(item, f"{path}[]", shape)
        yield f"k:{member}", {".": {}, **below} if below else {}
