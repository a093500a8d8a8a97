"""A namespace as the apiserver would show it, with one small system, to be spoilt by tests."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from tests.chaos import fingerprint
from tests.chaos.fingerprint import World
from tests.kube import Object


def namespace(ns: str) -> Object:
    """A system with one agent and its children; hashes and uids differ from namespace to other."""
    revision, record, uid = _hash("agent", ns), _hash("system", ns), f"uid-{ns}"
    objects: dict[str, list[Object]] = {kind: [] for kind in fingerprint.KINDS}
    template = {
        "metadata": {"labels": {"agentsystem.dev/revision": revision, "pod-template-hash": ns}},
        "spec": {"volumes": [{"configMap": {"name": f"sys--front-{revision}"}}]},
    }
    labels = {"agentsystem.dev/agent": "front", "agentsystem.dev/revision": revision}
    objects["ConfigMap"] = [
        child(f"sys--front-{revision}", uid, labels, data={"config.json": f"http://front.{ns}"}),
        {"metadata": {"name": "theirs", "resourceVersion": "7"}, "data": {}},
    ]
    objects["ReplicaSet"] = [child("sys--front-a-x", uid, labels, spec={"template": template})]
    objects["Deployment"] = [
        child("sys--front-a", uid, labels, spec={"replicas": 2, "template": template})
    ]
    objects["ControllerRevision"] = [
        child(f"sys--{record}", uid, {}, data={"agents": [{"revision": revision}]}, revision=1)
    ]
    objects["PersistentVolumeClaim"] = [child("sys--front", "", {}, spec={"volumeName": ns})]
    system = {
        "metadata": {"name": "sys", "uid": uid, "generation": 2},
        "status": {
            "observedGeneration": 2,
            "revision": {"desired": record},
            "conditions": [{"type": "Ready", "status": "True", "reason": "AllAgentsReady"}],
        },
    }
    return {"system": system, "objects": objects}


def child(name: str, owner: str, labels: dict[str, str], **more: Any) -> Object:
    """A child; without an owner when that is empty."""
    owners = [{"kind": "AgentSystem", "name": "sys", "uid": owner, "controller": True}]
    ours = {"app.kubernetes.io/managed-by": "agentsystem-operator", "agentsystem.dev/system": "sys"}
    meta: Object = {
        "name": name,
        "uid": f"uid-{name}-{owner}",
        "resourceVersion": "1",
        "labels": {**ours, **labels},
        "annotations": {"agentsystem.dev/intent": owner},
    }
    if owner:
        meta["ownerReferences"] = owners
    return {"metadata": meta, **more}


def world(everything: Object, ns: str) -> World:
    """Return the fingerprint of a namespace."""
    return fingerprint.reduced(everything, ns)


def _hash(*of: str) -> str:
    return blake2b(repr(of).encode(), digest_size=5).hexdigest()
