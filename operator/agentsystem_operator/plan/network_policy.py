"""The NetworkPolicy of an agent: who may reach it, and where it may connect to.

Policies see the ports of pods, not of Services, and addresses, not names; what is opened for a
provider or a shared server follows from what its address tells about that.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from agentsystem_operator.decide.workloads import Workload
from agentsystem_operator.model import names
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.references import Kind
from agentsystem_operator.plan import metadata
from agentsystem_operator.plan.channel import Place, egress

Rule = dict[str, Any]

_DNS_PORTS = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
_PUBLIC = [
    {
        "ipBlock": {
            "cidr": "0.0.0.0/0",
            # private, carrier-grade, link-local (cloud metadata services), loopback
            "except": [
                "10.0.0.0/8",
                "100.64.0.0/10",
                "127.0.0.0/8",
                "169.254.0.0/16",
                "172.16.0.0/12",
                "192.168.0.0/16",
            ],
        }
    },
    # unique local and link-local
    {"ipBlock": {"cidr": "::/0", "except": ["fc00::/7", "fe80::/10"]}},
]
_NAMESPACE_NAME = "kubernetes.io/metadata.name"


def build_network_policy(workload: Workload, *, channel: Place | None = None) -> Manifest:
    """Return the agent's NetworkPolicy; `channel` is where its pods find the operator."""
    agent = workload.agent.name
    ref = names.agent_child(workload.owner.key, agent, Kind.NETWORK_POLICY)
    selector = dict(names.pod_selector(workload.owner.key, agent))
    spec = {
        "podSelector": {"matchLabels": selector},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": list(_ingress(workload)),
        "egress": [*_egress(workload), *([egress(channel)] if channel else [])],
    }
    return metadata.manifest(ref, workload.owner, {"spec": spec}, agent=agent)


def _ingress(workload: Workload) -> Iterator[Rule]:
    peers: list[dict[str, Any]] = [_siblings(workload)]
    if workload.is_entry:
        peers.append({"podSelector": {}})
        peers += [peer.stated() for peer in workload.network.ingress_from]
    yield {"from": peers, "ports": [_tcp(names.HTTP_PORT)]}
    yield {"from": [{"namespaceSelector": {}}], "ports": [_tcp(names.METRICS_PORT)]}


def _egress(workload: Workload) -> Iterator[Rule]:
    # Resolvers live in other namespaces, on the node or outside the cluster: any address will do.
    yield {"ports": _DNS_PORTS}
    yield {"to": [_siblings(workload)], "ports": [_tcp(names.HTTP_PORT)]}
    namespace = workload.owner.key.namespace
    urls = (provider.endpoint.base_url for provider in workload.providers if provider.endpoint)
    for url in dict.fromkeys(urls):
        yield to_endpoint(url, namespace=namespace)
    for server in (workload.stores.redis, workload.stores.postgres):
        if server is not None:
            yield to_host(server.host, server.port, namespace=namespace)
    jwt = workload.auth.jwt if workload.auth else None
    if jwt is not None and jwt.jwks_url is not None:
        yield to_endpoint(jwt.jwks_url, namespace=namespace)
    if workload.otlp is not None:
        yield to_endpoint(workload.otlp.endpoint, namespace=namespace)
    for rule in workload.network.egress:
        yield rule.stated()


def to_endpoint(url: str, *, namespace: str) -> Rule:
    """Return the egress rule that lets a pod in `namespace` reach the endpoint.

    https://192.0.2.7:8443/v1   192.0.2.7/32, port 8443
    http://vllm.models.svc      namespace models, every port, since the target port is not known
    https://api.example.com/v1  public addresses, port 443
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return to_host(host, port, namespace=namespace)


def to_host(host: str, port: int, *, namespace: str) -> Rule:
    """Return the egress rule that lets a pod in `namespace` reach a port of a host."""
    try:
        address = ip_address(host)
    except ValueError:
        service = _service_namespace(host, default=namespace)
        if service is None:
            return {"to": _PUBLIC, "ports": [_tcp(port)]}
        selector = {"matchLabels": {_NAMESPACE_NAME: service}}
        return {"to": [{"namespaceSelector": selector}]}
    return {
        "to": [{"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}],
        "ports": [_tcp(port)],
    }


def _service_namespace(host: str, *, default: str) -> str | None:
    """Return the namespace of the cluster Service that a host name means, None for other names.

    Service: vllm, vllm.models.svc, vllm.models.svc.cluster.local. Two labels alone could be a
    domain (example.com), so they are not taken for `service.namespace`.
    """
    labels = host.split(".")
    if len(labels) == 1:
        return default
    is_service = len(labels) == 3 or labels[3:] == ["cluster", "local"]
    return labels[1] if is_service and labels[2] == "svc" else None


def _siblings(workload: Workload) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": {names.SYSTEM: workload.owner.key.name}}}


def _tcp(port: int) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}
