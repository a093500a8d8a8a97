"""How `spec.replicas` changes hands: one JSON patch of a Deployment's managedFields.

A Deployment is created with replicas by the main manager. If that manager later applied without
the field, the apiserver would reset it to 1, so the field's ownership is moved to the scale
manager first. The patch tests what it relies on and carries no resourceVersion: the Deployment
controller writes status all the time after a creation, and that is no conflict.
"""

from collections.abc import Mapping
from typing import Any

from agentsystem_operator.adapters.projections import MAIN_MANAGER, SCALE_MANAGER

Patch = list[Mapping[str, Any]]

_SCALE_ENTRY = {
    "manager": SCALE_MANAGER,
    "operation": "Apply",
    "apiVersion": "apps/v1",
    "fieldsType": "FieldsV1",
    "fieldsV1": {"f:spec": {"f:replicas": {}}},
    "subresource": "scale",
}


def hand_over(uid: str, *, main: int, has_scale_entry: bool) -> Patch:
    """Return the patch, given at which index the main manager's entry stands."""
    entry = f"/metadata/managedFields/{main}"
    patch: Patch = [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": f"{entry}/manager", "value": MAIN_MANAGER},
        {"op": "test", "path": f"{entry}/operation", "value": "Apply"},
        {"op": "remove", "path": f"{entry}/fieldsV1/f:spec/f:replicas"},
    ]
    if not has_scale_entry:
        patch.append({"op": "add", "path": "/metadata/managedFields/-", "value": _SCALE_ENTRY})
    return patch


def patch_for(live: Mapping[str, Any], uid: str) -> Patch | None:
    """Return the patch for a Deployment as it was read; None when nothing is to be moved."""
    entries = live["metadata"].get("managedFields", [])
    main = _index(entries, MAIN_MANAGER, None)
    if main is None or not _owns_replicas(entries[main]):
        return None
    scale = _index(entries, SCALE_MANAGER, "scale")
    owned = scale is not None and _owns_replicas(entries[scale])
    return hand_over(uid, main=main, has_scale_entry=owned)


def _index(entries: list[Mapping[str, Any]], manager: str, sub: str | None) -> int | None:
    for index, entry in enumerate(entries):
        if (entry["manager"], entry["operation"], entry.get("subresource")) == (
            manager,
            "Apply",
            sub,
        ):
            return index
    return None


def _owns_replicas(entry: Mapping[str, Any]) -> bool:
    return "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
