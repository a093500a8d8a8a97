"""The baseline of settling: the same children, applied by a client that does nothing else.

They are copies of what the operator made for one system, under other names and labels, so that
neither the operator nor the garbage collector takes an interest in them.
"""

from __future__ import annotations

import json
import time

from bench.operator.population import Population, place
from tests.kube import PATHS, Object

KINDS = (
    "ServiceAccount",
    "ConfigMap",
    "NetworkPolicy",
    "Service",
    "PodDisruptionBudget",
    "ControllerRevision",
    "Deployment",
)
OURS = "app.kubernetes.io/managed-by=agentsystem-operator,agentsystem.dev/system="
KEPT = ("name", "labels", "annotations")
GIVEN_BY_THE_CLUSTER = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")


async def seconds(people: Population, systems: int) -> float:
    """Return how long the children of so many systems take when they are only applied."""
    children = await _children(people)

    async def one(number: int) -> None:
        for kind, text in children:
            await _apply_copy(people, kind, text, number)

    began = time.monotonic()
    await people.each(range(systems), one)
    return time.monotonic() - began


async def _children(people: Population) -> list[tuple[str, str]]:
    """Return kind and JSON text of each child of the first system, without what is its own."""
    name, ns = place(0)
    found = []
    for kind in KINDS:
        path = f"{PATHS[kind].format(ns=ns)}?labelSelector={OURS}{name}"
        listed = await people.send("GET", path)
        head = {"apiVersion": listed["apiVersion"], "kind": kind}
        found += [(kind, _template({**head, **item})) for item in listed["items"]]
    return found


def _template(child: Object) -> str:
    meta = {key: value for key, value in child["metadata"].items() if key in KEPT}
    body = {**child, "metadata": meta}
    body.pop("status", None)
    if child["kind"] == "Service":
        spec = child["spec"]
        body["spec"] = {k: v for k, v in spec.items() if k not in GIVEN_BY_THE_CLUSTER}
    text = json.dumps(body)
    return text.replace("agentsystem.dev/", "bench.dev/").replace(
        '"agentsystem-operator"', '"bench"'
    )


async def _apply_copy(people: Population, kind: str, text: str, number: int) -> None:
    name, _ = place(0)
    _, ns = place(number)
    body = json.loads(text.replace(f'"{name}', f'"copy{number}'))
    path = f"{PATHS[kind].format(ns=ns)}/{body['metadata']['name']}?fieldManager=bench"
    await people.send("PATCH", path, body, kind="apply-patch+yaml")
