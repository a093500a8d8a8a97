"""Names for revisions that do not depend on the namespace.

A revision's hash covers the rendered configuration, in which the namespace stands: equal systems in
two namespaces have different ones. Here each gets a name that follows from the content it stands
for, with the namespace left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from tests.chaos.record import OBJECT
from tests.kube import Object

REVISION = "agentsystem.dev/revision"
NAMESPACE = "NAMESPACE"
_HASHED = re.compile(r"--(?:(?P<agent>.+)-)?(?P<hash>[0-9a-f]{10})$")
_GONE = re.compile(r'"revision": "[0-9a-f]{10}"')
_VOLATILE = re.compile(r'"(?:pod-template-hash|agentsystem\.dev/intent|declared)": "[^"]*"(?:, )?')
"""Hashes over owners' uids and namespaces; what they were made from is compared itself."""


def without_namespace(everything: Any, ns: str) -> Any:
    """Return a JSON-like value with the namespace and every revision's hash replaced.

    `everything` lists the objects of the namespace under their kinds in `objects`.
    """
    text = json.dumps(everything, sort_keys=True).replace(ns, NAMESPACE)
    objects = json.loads(text)["objects"]
    for old, new in _agents(objects["ConfigMap"], [*objects["ReplicaSet"], *objects["Deployment"]]):
        text = text.replace(old, new)
    found = json.loads(text)
    for record in found["objects"]["ControllerRevision"]:
        # A record outlives the config and the ReplicaSets of an agent that was removed.
        data = json.dumps(record.get("data"), sort_keys=True)
        record["data"] = json.loads(_GONE.sub('"revision": "gone"', data))
    text = json.dumps(found, sort_keys=True)
    for old, new in _systems(found["objects"]["ControllerRevision"]):
        text = text.replace(old, new)
    return json.loads(text)


def in_order(names: Iterable[OBJECT]) -> dict[OBJECT, OBJECT]:
    """Return for each object, in the order of its making, a name without hash: `sys--front-#2`."""
    made: dict[tuple[str, str], int] = {}
    renamed: dict[OBJECT, OBJECT] = {}
    for resource, name in names:
        found = _HASHED.search(name)
        if found is None or (resource, name) in renamed:
            renamed.setdefault((resource, name), (resource, name))
            continue
        stem = name[: found.start("hash")]
        made[resource, stem] = number = made.get((resource, stem), 0) + 1
        renamed[resource, name] = (resource, f"{stem}#{number}")
    return renamed


def _agents(configs: list[Object], makers: list[Object]) -> list[tuple[str, str]]:
    """Return each agent's revisions with their new names: from the config and the pods' template.

    A config is kept as long as a ReplicaSet uses it, so that both are there. The Deployments, which
    come last, are never those that somebody tampered with.
    """
    templates = {
        (item["metadata"].get("labels") or {}).get(REVISION): item["spec"]["template"]
        for item in makers
    }
    found = []
    for item in configs:
        revision = (item["metadata"].get("labels") or {}).get(REVISION)
        if revision:
            content = _plain([item.get("data"), templates.get(revision)], revision)
            found.append((revision, f"agent-{_digest(content)}"))
    return found


def _systems(records: list[Object]) -> list[tuple[str, str]]:
    found = []
    for item in records:
        named = _HASHED.search(item["metadata"]["name"])
        if named:
            content = _plain(item.get("data"), named["hash"])
            found.append((named["hash"], f"system-{_digest(content)}"))
    return found


def _plain(value: Any, revision: str) -> str:
    return _VOLATILE.sub("", json.dumps(value, sort_keys=True)).replace(revision, "REVISION")


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=4).hexdigest()
