"""Network peers and ports in Kubernetes' own shapes."""

from typing import Any

from tests.contract.api.case import Case, bad, good

PEER = "spec.network.ingressFrom[0]"
EGRESS = "spec.network.egress[0]"
PORT = f"{EGRESS}.ports[0]"


def _peer(peer: dict[str, Any], *wrong: str, says: str = "") -> Case:
    fields = tuple(f"{PEER}{field}" for field in wrong)
    return Case(f"peer {peer}", {"spec.network": {"ingressFrom": [peer]}}, fields, says)


def _selector(selector: dict[str, Any], *wrong: str, says: str = "") -> Case:
    return _peer({"podSelector": selector}, *(f".podSelector{field}" for field in wrong), says=says)


def _block(block: dict[str, Any], *wrong: str, says: str = "") -> Case:
    return _peer({"ipBlock": block}, *(f".ipBlock{field}" for field in wrong), says=says)


def _port(port: dict[str, Any], *wrong: str, says: str = "") -> Case:
    fields = tuple(f"{PORT}.{field}" for field in wrong)
    return Case(f"port {port}", {"spec.network": {"egress": [{"ports": [port]}]}}, fields, says)


_PEERS = (
    _peer({"podSelector": {}, "namespaceSelector": {"matchLabels": {"team": "shop"}}}),
    _peer({}, "", says="a peer needs podSelector, namespaceSelector or ipBlock"),
    _peer(
        {"podSelector": {}, "ipBlock": {"cidr": "192.0.2.0/24"}},
        ".ipBlock",
        says="is not allowed together with a selector",
    ),
    _selector({"matchLabels": {"example.com/team": "", "a": "b_c.d"}}),
    _selector({"matchLabels": {"not a key": "b"}}, ".matchLabels", says="must be a label key"),
    _selector({"matchLabels": {"/a": "b"}}, ".matchLabels", says="must be a label key"),
    _selector({"matchLabels": {"a": "not a value"}}, ".matchLabels.a"),
    _selector({"matchLabels": {"a": "b" * 64}}, ".matchLabels.a"),
    _selector({"matchLabels": {"a": 1}}, ".matchLabels.a"),
    _selector({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}),
    _selector({"matchExpressions": [{"key": "a", "operator": "Exists"}]}),
    _selector(
        {"matchExpressions": [{"key": "a", "operator": "In"}]},
        ".matchExpressions[0].values",
        says="In and NotIn need values",
    ),
    _selector(
        {"matchExpressions": [{"key": "a", "operator": "DoesNotExist", "values": ["b"]}]},
        ".matchExpressions[0].values",
        says="Exists and DoesNotExist take none",
    ),
    _selector(
        {"matchExpressions": [{"key": "a", "operator": "Like"}]}, ".matchExpressions[0].operator"
    ),
)

_BLOCKS = (
    _block({"cidr": "192.0.2.0/24", "except": ["192.0.2.8/29"]}),
    _block({"cidr": "2001:db8::/32", "except": ["2001:db8:1::/48"]}),
    _block({"cidr": "0.0.0.0/0"}),
    *(
        _block({"cidr": cidr}, ".cidr", says="must be a network such as 192.0.2.0/24")
        for cidr in ("192.0.2.1/24", "192.0.2.0/33", "300.0.2.0/24", "192.0.02.0/24", "1/24")
    ),
    _block({"cidr": "::ffff:192.0.2.0/120"}, ".cidr", says="must be a network"),
    _block({"cidr": "192.0.2.0"}, ".cidr"),
    _block({"cidr": "example.com/24"}, ".cidr"),
    *(
        _block(
            {"cidr": "192.0.2.0/24", "except": ["192.0.2.0/25", text]},
            ".except",
            says="must be a network inside cidr, and smaller than it",
        )
        for text in ("198.51.100.0/25", "192.0.2.0/24", "192.0.0.0/16", "2001:db8::/32", "1/25")
    ),
)

_EVERYTHING: tuple[dict[str, Any], ...] = ({}, {"to": [], "ports": []})

_EGRESS = (
    good("egress to a peer", {"spec.network": {"egress": [{"to": [{"podSelector": {}}]}]}}),
    *(
        bad(
            f"egress {rule}",
            {"spec.network": {"egress": [rule]}},
            EGRESS,
            says="an egress rule needs to or ports",
        )
        for rule in _EVERYTHING
    ),
    _port({}),
    _port({"port": 443}),
    _port({"port": "https", "protocol": "UDP"}),
    _port({"port": 8000, "endPort": 8000}),
    *(
        _port(port, "endPort", says="needs a port that is a number and not above it")
        for port in (
            {"port": 8000, "endPort": 7999},
            {"port": "https", "endPort": 8000},
            {"endPort": 8000},
        )
    ),
    *(_port({"port": port}, "port") for port in (0, 65536, "http_s", "80", "a" * 16, "a--b", "")),
    _port({"protocol": "ICMP"}, "protocol"),
    _port({"port": 1, "endPort": 65536}, "endPort"),
)

CASES = (*_PEERS, *_BLOCKS, *_EGRESS)
