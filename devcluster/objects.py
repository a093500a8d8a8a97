"""The objects that make a bare control plane a usable cluster; pure values.

DNS and metrics run as plain processes beside the apiserver, so their Services have no selector
and an EndpointSlice with the bridge's address.
"""

from devcluster import control_plane, layout

Manifest = dict[str, object]

PROVISIONER = "agentsystem.dev/devcluster"
SYSTEM = "kube-system"


def node(which: layout.Node) -> Manifest:
    """Return the Node that the kubelet will find: its pod range is ours, the rest is its own."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": which.name},
        "spec": {"podCIDR": which.pod_cidr, "podCIDRs": [which.pod_cidr]},
    }


def addons() -> list[Manifest]:
    """Return DNS, metrics and storage, with the permissions of what runs them."""
    return [
        *_service("kube-dns", layout.DNS_IP, [("dns", "UDP", 53), ("dns-tcp", "TCP", 53)]),
        *_service("metrics-server", None, [("https", "TCP", control_plane.METRICS_PORT)]),
        _metrics_api(),
        _storage_class(),
        *grant("coredns", _COREDNS),
        *grant("metrics-server", _METRICS_SERVER),
        *grant("provisioner", _PROVISIONER),
        _binding("metrics-server-delegator", "system:auth-delegator", "metrics-server"),
        _authentication_reader(),
        _aggregated_reader(),
    ]


_WATCH = ["get", "list", "watch"]

_COREDNS: list[Manifest] = [
    {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": _WATCH},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _WATCH},
]
_METRICS_SERVER: list[Manifest] = [
    {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": _WATCH},
]
_PROVISIONER: list[Manifest] = [
    {
        "apiGroups": [""],
        "resources": ["persistentvolumes"],
        "verbs": [*_WATCH, "create", "delete"],
    },
    {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": _WATCH},
    {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get"]},
]


def _service(name: str, ip: str | None, ports: list[tuple[str, str, int]]) -> list[Manifest]:
    named = [{"name": n, "protocol": protocol, "port": port} for n, protocol, port in ports]
    address: dict[str, object] = {"clusterIP": ip} if ip else {}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": name,
                "namespace": SYSTEM,
                "labels": {"k8s-app": name, "kubernetes.io/cluster-service": "true"},
            },
            "spec": {**address, "ports": named},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-devcluster",
                "namespace": SYSTEM,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [layout.GATEWAY], "conditions": {"ready": True}}],
            "ports": named,
        },
    ]


def _metrics_api() -> Manifest:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            # its certificate is its own; both ends are processes of one supervisor
            "insecureSkipTLSVerify": True,
            "service": {
                "name": "metrics-server",
                "namespace": SYSTEM,
                "port": control_plane.METRICS_PORT,
            },
        },
    }


def _storage_class() -> Manifest:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def grant(component: str, rules: list[Manifest]) -> list[Manifest]:
    """Return a ClusterRole with these rules, bound to the component's user."""
    name = f"system:devcluster:{component}"
    role: Manifest = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }
    return [role, _binding(component, name, component)]


def _binding(name: str, role: str, component: str) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"system:devcluster:{name}"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": role,
        },
        "subjects": [_user(component)],
    }


def _authentication_reader() -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "metrics-server-auth-reader", "namespace": SYSTEM},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": "extension-apiserver-authentication-reader",
        },
        "subjects": [_user("metrics-server")],
    }


def _aggregated_reader() -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {
            "name": "system:aggregated-metrics-reader",
            "labels": {
                f"rbac.authorization.k8s.io/aggregate-to-{role}": "true"
                for role in ("view", "edit", "admin")
            },
        },
        "rules": [
            {"apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": _WATCH}
        ],
    }


def _user(component: str) -> Manifest:
    return {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "User",
        "name": f"system:devcluster:{component}",
    }
