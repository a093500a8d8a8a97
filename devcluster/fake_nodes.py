"""Fake nodes: Node objects whose kubelet is KWOK, which reports pods Ready without running them.

For benches that need thousands of pods to exist, not to answer. Their taint and label are KWOK's
documented ones, so only pods that tolerate and select them land there.
"""

from datetime import UTC, datetime

from devcluster import client, control_plane, layout
from devcluster.control_plane import Program
from devcluster.errors import DevClusterError
from devcluster.objects import Manifest, grant

NAME = "kwok"
LABEL = {"type": "kwok"}
TAINT = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
# of the 2,046 addresses of a fake node's range
PODS_PER_NODE = 2000
# renewed at a quarter of it; controllers give up on a node after 50 s of silence
LEASE_S = 60

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_NODES = "/api/v1/nodes"
_SELECTED = f"{_NODES}?labelSelector=type%3Dkwok"

_RULES: list[Manifest] = [
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["nodes/status", "pods/status"], "verbs": ["patch", "update"]},
    {
        "apiGroups": [""],
        "resources": ["pods"],
        "verbs": ["get", "list", "watch", "patch", "update", "delete"],
    },
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch", "update"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "verbs": ["get", "list", "watch", "create", "patch", "update"],
    },
]


def program() -> Program:
    """Return KWOK, which plays the kubelets of all nodes with the label."""
    (label,) = LABEL.items()
    return Program(
        NAME,
        (
            str(control_plane.KUBE),
            NAME,
            f"--kubeconfig={control_plane.CONFIGS / NAME}",
            f"--manage-nodes-with-label-selector={'='.join(label)}",
            f"--node-lease-duration-seconds={LEASE_S}",
            "--v=WARN",  # else a line for each pod
            # where logs and exec are looked for: nobody listens there, so they fail at once
            f"--node-ip={layout.GATEWAY}",
        ),
    )


def manifests(nodes: tuple[layout.FakeNode, ...]) -> list[Manifest]:
    """Return the rights of KWOK and the Node objects."""
    return [*grant(NAME, _RULES), *(_node(each) for each in nodes)]


def _node(which: layout.FakeNode) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": which.name,
            "labels": {**LABEL, "kubernetes.io/hostname": which.name, "kubernetes.io/os": "linux"},
        },
        "spec": {
            "podCIDR": which.pod_cidr,
            "podCIDRs": [which.pod_cidr],
            "taints": [TAINT],
        },
    }


def _capacity(which: layout.FakeNode) -> Manifest:
    room = {"cpu": "1000", "memory": "1Ti", "pods": str(PODS_PER_NODE)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": which.name},
        "status": {"capacity": room, "allocatable": room},
    }


def prepare(nodes: tuple[layout.FakeNode, ...]) -> None:
    """Write the Node objects, and remove those of an earlier `up` that asked for more.

    A stopped KWOK's leases go too: its successor would wait for them to expire.
    """
    found = client.get(_SELECTED).get("items", [])
    names = {each["metadata"]["name"] for each in found} if isinstance(found, list) else set()
    for name in names:
        _delete(f"{_LEASES}/{name}")
    for name in names - {each.name for each in nodes}:
        _delete(f"{_NODES}/{name}")
    if not nodes:
        return
    for manifest in manifests(nodes):
        client.apply(manifest)
    for each in nodes:
        client.apply(_capacity(each), part="/status")


def _delete(path: str) -> None:
    status, text = client.call("DELETE", path)
    if status >= 300 and status != 404:
        raise DevClusterError(f"{path}: {status}: {text[:300]}")


def ready(node: layout.FakeNode) -> bool:
    """Whether KWOK has said that the node is Ready."""
    return client.node_ready(node.name, datetime.fromtimestamp(0, tz=UTC))
