"""Command lines of the control plane, as run inside the cluster's namespaces.

Upstream defaults are kept for every timing and rate, unless `up --controller-qps` asks for
another; what is set differs because there is one replica of each (no leader election) or because
the data may be lost (etcd without fsync).
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from devcluster import layout

STATE = layout.INSIDE_STATE
KEYS = STATE / "pki"
CONFIGS = STATE / "kubeconfigs"
KUBE = layout.INSIDE_BIN / "kube" / "devcluster-kube"

METRICS_PORT = 4443
ETCD_URL = "http://127.0.0.1:2379"
# lumberjack would rotate at 100 MB and tests would lose count; a day of work stays below this
AUDIT_MAX_MB = 2000


@dataclass(frozen=True)
class Program:
    """A long-running program: its name (also that of its log file) and command."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    """Variables beside those that every program gets."""


def etcd() -> Program:
    """Return the store. A killed process loses nothing: the kernel still has the pages."""
    return Program(
        "etcd",
        (
            str(layout.INSIDE_BIN / "etcd" / "etcd"),
            "--name=devcluster",
            f"--data-dir={STATE / 'etcd'}",
            f"--listen-client-urls={ETCD_URL}",
            f"--advertise-client-urls={ETCD_URL}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync",
            "--auto-compaction-retention=5m",
            "--quota-backend-bytes=4294967296",
            "--log-level=warn",
        ),
    )


# With fake nodes a namespace's annotations can send its pods there: a node selector and
# tolerations, added to pods whose own manifest knows nothing of them.
NAMESPACE_PLUGINS = ",PodNodeSelector,PodTolerationRestriction"


# Go's collector at its default costs the apiserver a fifth of its time under load.
FEWER_COLLECTIONS = (("GOGC", "400"),)


def apiserver(*, fake_nodes: bool = False, for_load: bool = False) -> Program:
    """Return the apiserver: on the bridge for pods and on loopback for the relay.

    `for_load`: it spends memory where that saves time.
    """
    flags = {
        "advertise-address": layout.GATEWAY,
        "bind-address": "0.0.0.0",  # noqa: S104  # of the cluster's own network namespace
        "secure-port": layout.APISERVER_PORT,
        "etcd-servers": ETCD_URL,
        "allow-privileged": "true",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction" + (NAMESPACE_PLUGINS if fake_nodes else ""),
        "client-ca-file": KEYS / "ca.crt",
        "tls-cert-file": KEYS / "apiserver.crt",
        "tls-private-key-file": KEYS / "apiserver.key",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": KEYS / "service-account.pub",
        "service-account-signing-key-file": KEYS / "service-account.key",
        "service-cluster-ip-range": layout.SERVICE_RANGE,
        # logs and exec reach kubelets by address: nobody resolves their host names
        "kubelet-preferred-address-types": "InternalIP",
        "kubelet-certificate-authority": KEYS / "ca.crt",
        "kubelet-client-certificate": KEYS / "apiserver-kubelet-client.crt",
        "kubelet-client-key": KEYS / "apiserver-kubelet-client.key",
        "requestheader-client-ca-file": KEYS / "front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": KEYS / "front-proxy-client.crt",
        "proxy-client-key-file": KEYS / "front-proxy-client.key",
        # aggregated APIs by endpoint: there may be no kube-proxy beside the apiserver
        "enable-aggregator-routing": "true",
        "audit-policy-file": STATE / "audit-policy.json",
        "audit-log-path": STATE / "audit" / "audit.log",
        "audit-log-maxsize": AUDIT_MAX_MB,
    }
    program = _kube("kube-apiserver", flags)
    return replace(program, environment=FEWER_COLLECTIONS) if for_load else program


UPSTREAM_QPS = 20
# each controller's upstream number of workers, as far as it is not one
_WORKERS = {
    "deployment": 5,
    "endpoint": 5,
    "gc": 20,
    "horizontal-pod-autoscaler": 5,
    "namespace": 10,
    "replicaset": 5,
    "service-endpoint": 5,
    "serviceaccount-token": 5,
    "statefulset": 5,
}
MAX_WORKERS = 50  # more of them only wait for the same apiserver


def _rate(qps: int) -> dict[str, object]:
    """Return the flags for a client rate in requests/s, with workers in proportion; 0: none."""
    if not qps:
        return {}
    burst = {"kube-api-qps": qps, "kube-api-burst": qps * 3 // 2}
    workers = {
        f"concurrent-{name}-syncs": max(count, min(count * qps // UPSTREAM_QPS, MAX_WORKERS))
        for name, count in _WORKERS.items()
    }
    return {**burst, **workers}


def controller_manager(qps: int = 0) -> Program:
    """Return the controllers, each with a service account of its own as in a real cluster."""
    flags = {
        **_client("kube-controller-manager"),
        "leader-elect": "false",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": KEYS / "service-account.key",
        "root-ca-file": KEYS / "ca.crt",
        "cluster-signing-cert-file": KEYS / "ca.crt",
        "cluster-signing-key-file": KEYS / "ca.key",
        "cluster-cidr": layout.POD_RANGE,
        "service-cluster-ip-range": layout.SERVICE_RANGE,
        # the Node objects are written with their ranges, which the nodes' CNI files repeat
        "allocate-node-cidrs": "false",
        **_rate(qps),
    }
    return _kube("kube-controller-manager", flags)


SCHEDULER_QPS = 50  # upstream's


def scheduler(qps: int = 0) -> Program:
    """Return the scheduler with its default profile, no slower than the controllers."""
    flags = {**_client("kube-scheduler"), "leader-elect": "false"}
    if qps > SCHEDULER_QPS:
        flags |= {"kube-api-qps": qps, "kube-api-burst": 2 * qps}
    return _kube("kube-scheduler", flags)


def coredns() -> Program:
    """Return the cluster's DNS server, a plain process on the bridge's address."""
    return Program("coredns", (str(KUBE), "coredns", "-conf", str(STATE / "Corefile")))


def metrics_server() -> Program:
    """Return the metrics server, a plain process that kubelets know by its certificate."""
    flags = {
        **_client("metrics-server"),
        "bind-address": layout.GATEWAY,
        "secure-port": METRICS_PORT,
        "cert-dir": layout.INSIDE_TMP / "metrics-server",
        "kubelet-preferred-address-types": "InternalIP",
        "kubelet-certificate-authority": KEYS / "ca.crt",
        "metric-resolution": "15s",
        # fake nodes have no kubelet to ask
        "node-selector": "type!=kwok",
        "requestheader-client-ca-file": KEYS / "front-proxy-ca.crt",
    }
    return _kube("metrics-server", flags)


def provisioner() -> Program:
    """Return what makes directories for claims of the default StorageClass."""
    flags: dict[str, object] = {
        "kubeconfig": CONFIGS / "provisioner",
        "directory": STATE / "volumes",
    }
    return _kube("provisioner", flags)


def service_proxy() -> Program:
    """Return a kube-proxy for the namespace of the apiserver and of load clients."""
    return Program("kube-proxy", (str(KUBE), "kube-proxy", f"--config={STATE / 'kube-proxy.json'}"))


def relay(descriptor: int) -> Program:
    """Return the way from the host's loopback port, an inherited socket, to the apiserver."""
    return Program(
        "relay",
        (
            str(layout.INSIDE_BIN / "tools" / "devcluster-tools"),
            "relay",
            str(descriptor),
            f"127.0.0.1:{layout.APISERVER_PORT}",
        ),
    )


def _client(name: str) -> dict[str, object]:
    path = CONFIGS / name
    return {
        "kubeconfig": path,
        "authentication-kubeconfig": path,
        "authorization-kubeconfig": path,
    }


def _kube(program: str, flags: dict[str, object]) -> Program:
    rendered = tuple(f"--{flag}={value}" for flag, value in flags.items())
    return Program(program, (str(KUBE), program, *rendered))


def audit_policy() -> str:
    """Return the policy: one line per request with its user, and no request bodies.

    Left out are health checks and the lease renewals of the control plane and the nodes, which
    nobody counts and which would be most of the file of an idle cluster.
    """
    leases = [{"group": "coordination.k8s.io", "resources": ["leases"]}]
    return json.dumps(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "omitManagedFields": True,
            "rules": [
                {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]},
                {"level": "None", "userGroups": ["system:nodes"], "resources": leases},
                {
                    "level": "None",
                    "users": ["system:apiserver", "system:devcluster:kwok"],
                    "resources": leases,
                },
                {"level": "Metadata"},
            ],
        },
        indent=1,
    )


# names that no resolver outside knows: of one label (search lists make them), cut-off Services
LOCAL_NAMES = r"^([^.]+|(.+\.)?(svc|invalid))\.$"


def corefile(*, egress: bool) -> str:
    """Return CoreDNS's configuration. Names of others are asked outside, if there is a way out.

    Two servers, because within one the template would come before the cluster's own names.
    """
    others = (
        f"""forward . {layout.EGRESS_DNS}
    cache 30
    errors"""
        if egress
        else ""
    )
    unknown = f"match {LOCAL_NAMES}\n        fallthrough" if egress else ""
    return f"""cluster.local:53 in-addr.arpa:53 {{
    bind {layout.GATEWAY}
    errors
    ready {layout.GATEWAY}:8181
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {CONFIGS / "coredns"}
        ttl 5
    }}
    cache 5 {{
        disable denial cluster.local
    }}
}}
.:53 {{
    bind {layout.GATEWAY}
    template ANY ANY . {{
        rcode NXDOMAIN
        {unknown}
    }}
    {others}
}}
"""


def kube_proxy_config(host: str, kubeconfig: Path) -> str:
    """Return kube-proxy's configuration. Connection tracking limits are the host's to set."""
    return json.dumps(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "hostnameOverride": host,
            "clusterCIDR": layout.POD_RANGE,
            "detectLocalMode": "ClusterCIDR",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "oomScoreAdj": 0,
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        },
        indent=1,
    )
