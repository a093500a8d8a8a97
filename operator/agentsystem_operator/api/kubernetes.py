"""The parts of Kubernetes' own types that a spec may hold, in Kubernetes' own shapes.

What the apiserver would refuse in a child is refused here already, in the AgentSystem, so that the
author hears of it at once. Imported by the spec.
"""

import re
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, ClassVar

from pydantic import Field

from agentsystem_operator.api import types
from agentsystem_operator.api.base import ApiModel, MapList, Rule, cel_string
from agentsystem_operator.api.types import amount_of


class EnvVar(ApiModel):
    """An environment variable of the agent's container."""

    name: types.EnvName
    """Name of the variable. Names that start with AGENT_ or POD_ belong to the operator."""
    value: Annotated[str, Field(max_length=8192)] = ""
    """Value of the variable, as it is; keep secrets out, they go into a Secret of the provider."""

    RULES: ClassVar = (
        Rule(
            field="name",
            message="names that start with AGENT_ or POD_ are set by the operator; rename it",
            cel="!self.name.startsWith('AGENT_') && !self.name.startsWith('POD_')",
            broken=lambda env: "" if env.name.startswith(("AGENT_", "POD_")) else None,
        ),
    )


EnvVars = Annotated[tuple[EnvVar, ...], Field(max_length=50), MapList("name")]


class LocalObjectReference(ApiModel):
    """Names an object in the same namespace."""

    name: types.ObjectName
    """Name of the object."""


class KeyReference(ApiModel):
    """Names one key of a ConfigMap or Secret in the same namespace."""

    name: types.ObjectName
    """Name of the ConfigMap or Secret."""
    key: types.DataKey
    """Key in its data."""


class ResourceAmounts(ApiModel):
    """Amounts of compute resources."""

    cpu: types.Cpu | None = None
    """CPU in cores: 2, 0.5 or 250m."""
    memory: types.Bytes | None = None
    """Memory in bytes: 512Mi, 2Gi."""
    ephemeral_storage: Annotated[types.Bytes | None, Field(alias="ephemeral-storage")] = None
    """Local disk in bytes: 1Gi."""


def _within_limit(resource: str, title: str) -> Rule:
    name = resource.replace("-", "__dash__")  # how CEL spells a field that is no identifier
    # CEL runs even when a pattern is not met, and quantity() of such a text is an error.
    given = " && ".join(
        f"has(self.{side}) && has(self.{side}.{name}) && isQuantity(string(self.{side}.{name}))"
        for side in ("requests", "limits")
    )

    def broken(resources: "ResourceRequirements") -> str | None:
        request = getattr(resources.requests, title, None)
        limit = getattr(resources.limits, title, None)
        if request is None or limit is None or amount_of(request) <= amount_of(limit):
            return None
        return ""

    return Rule(
        field="requests",
        message=f"{resource} is above its limit; lower it or raise limits.{resource}",
        cel=(
            f"!({given}) || quantity(string(self.requests.{name}))"
            f".compareTo(quantity(string(self.limits.{name}))) <= 0"
        ),
        broken=broken,
    )


class ResourceRequirements(ApiModel):
    """Compute resources of the agent's container."""

    requests: ResourceAmounts | None = None
    """What the scheduler sets aside; a resource that is left out takes its limit."""
    limits: ResourceAmounts | None = None
    """What the container can use at most."""

    RULES: ClassVar = (
        _within_limit("cpu", "cpu"),
        _within_limit("memory", "memory"),
        _within_limit("ephemeral-storage", "ephemeral_storage"),
    )


class TolerationOperator(StrEnum):
    """How a toleration is compared with a taint."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(ApiModel):
    """Lets the pods run on nodes with a matching taint."""

    key: types.LabelKey | None = None
    """Key of the taint; absent matches every key, and needs operator Exists."""
    operator: TolerationOperator = TolerationOperator.EQUAL
    """Exists matches every value, Equal the one given."""
    value: types.LabelValue | None = None
    """Value of the taint; only with operator Equal."""
    effect: TaintEffect | None = None
    """Effect of the taint; absent matches every effect."""
    toleration_seconds: Annotated[int, types.Strict(), Field(ge=0, le=604_800)] | None = None
    """Seconds that a pod stays after the taint appeared; only with effect NoExecute."""

    RULES: ClassVar = (
        Rule(
            field="operator",
            message="must be Exists when no key is given; set operator: Exists or a key",
            cel="has(self.key) || self.operator == 'Exists'",
            broken=lambda t: (
                "" if t.key is None and t.operator is not TolerationOperator.EXISTS else None
            ),
        ),
        Rule(
            field="value",
            message="is not allowed with operator Exists; remove it or set operator: Equal",
            cel="!has(self.value) || self.value == '' || self.operator == 'Equal'",
            broken=lambda t: "" if t.value and t.operator is TolerationOperator.EXISTS else None,
        ),
        Rule(
            field="tolerationSeconds",
            message="needs effect NoExecute; set effect: NoExecute or remove tolerationSeconds",
            cel="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            broken=lambda t: (
                ""
                if t.toleration_seconds is not None and t.effect is not TaintEffect.NO_EXECUTE
                else None
            ),
        ),
    )


class SelectorOperator(StrEnum):
    """How a label is compared with the values."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


_TAKES_VALUES = (SelectorOperator.IN, SelectorOperator.NOT_IN)


class LabelSelectorRequirement(ApiModel):
    """One condition on a label."""

    key: types.LabelKey
    """Key of the label."""
    operator: SelectorOperator
    """In and NotIn compare with the values; Exists and DoesNotExist look at the key alone."""
    values: Annotated[tuple[types.LabelValue, ...], Field(max_length=20)] = ()
    """Values to compare with; needed by In and NotIn, not allowed otherwise."""

    RULES: ClassVar = (
        Rule(
            field="values",
            message="In and NotIn need values, Exists and DoesNotExist take none",
            cel=(
                "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)"
            ),
            broken=lambda r: "" if (r.operator in _TAKES_VALUES) != bool(r.values) else None,
        ),
    )


def _bad_label_key(selector: "LabelSelector") -> str | None:
    good = all(
        len(key) <= 253 and re.fullmatch(types.LABEL_KEY_PATTERN, key)
        for key in selector.match_labels
    )
    return None if good else ""


class LabelSelector(ApiModel):
    """Selects objects by their labels; an empty selector selects all."""

    match_labels: Annotated[dict[str, types.LabelValue], Field(max_length=20, default_factory=dict)]
    """Labels that an object must carry with exactly these values."""
    match_expressions: Annotated[tuple[LabelSelectorRequirement, ...], Field(max_length=20)] = ()
    """Conditions that an object's labels must meet, all of them."""

    RULES: ClassVar = (
        Rule(
            field="matchLabels",
            message="every key must be a label key such as team or example.com/team",
            cel=(
                "!has(self.matchLabels) || self.matchLabels.all(k, k.size() <= 253 && "
                f"k.matches({cel_string(types.LABEL_KEY_PATTERN)}))"
            ),
            broken=_bad_label_key,
        ),
    )


def _network(cidr: str) -> IPv4Network | IPv6Network | None:
    """Return the network written exactly as CEL's cidr() takes it, else None."""
    address, slash, _ = cidr.partition("/")
    if not slash or "%" in address or ("." in address and ":" in address):
        return None
    try:
        return ip_network(cidr)
    except ValueError:
        return None


def _outside(block: "IPBlock") -> str | None:
    around = _network(block.cidr)
    for text in block.except_:
        inner = _network(text)
        if around is None or inner is None or inner.version != around.version:
            return ""
        if inner == around or not inner.subnet_of(around):  # type: ignore[arg-type]  # same version
            return ""
    return None


_IS_NETWORK = "isCIDR({0}) && cidr({0}) == cidr({0}).masked()"


class IPBlock(ApiModel):
    """A range of addresses."""

    cidr: Annotated[str, Field(max_length=43, pattern="^[0-9a-fA-F.:]+/[0-9]{1,3}$")]
    """The range, such as 192.0.2.0/24 or 2001:db8::/32."""
    except_: Annotated[
        tuple[Annotated[str, Field(max_length=43, pattern="^[0-9a-fA-F.:]+/[0-9]{1,3}$")], ...],
        Field(max_length=20, alias="except"),
    ] = ()
    """Smaller ranges inside it that are left out."""

    RULES: ClassVar = (
        Rule(
            field="cidr",
            message="must be a network such as 192.0.2.0/24, without bits after the prefix",
            cel=_IS_NETWORK.format("self.cidr"),
            broken=lambda block: "" if _network(block.cidr) is None else None,
        ),
        Rule(
            field="except",
            message="every range must be a network inside cidr, and smaller than it",
            cel=(
                "!has(self.except) || (isCIDR(self.cidr) && self.except.all(e, isCIDR(e) &&"
                " cidr(self.cidr).containsCIDR(e) &&"
                " cidr(e).prefixLength() > cidr(self.cidr).prefixLength()))"
            ),
            broken=_outside,
        ),
    )


class NetworkPolicyPeer(ApiModel):
    """Pods or addresses at the other end of a connection."""

    pod_selector: LabelSelector | None = None
    """Pods with these labels; in the system's namespace unless namespaceSelector is given."""
    namespace_selector: LabelSelector | None = None
    """Namespaces with these labels; all their pods unless podSelector is given."""
    ip_block: IPBlock | None = None
    """Addresses; not together with a selector."""

    RULES: ClassVar = (
        Rule(
            field="",
            message="a peer needs podSelector, namespaceSelector or ipBlock; give one",
            cel="has(self.podSelector) || has(self.namespaceSelector) || has(self.ipBlock)",
            broken=lambda peer: "" if peer == NetworkPolicyPeer() else None,
        ),
        Rule(
            field="ipBlock",
            message="is not allowed together with a selector; make it a peer of its own",
            cel="!has(self.ipBlock) || !(has(self.podSelector) || has(self.namespaceSelector))",
            broken=lambda peer: (
                "" if peer.ip_block and (peer.pod_selector or peer.namespace_selector) else None
            ),
        ),
    )


class Protocol(StrEnum):
    """Transport protocols that a network policy knows."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


def _bad_range(port: "NetworkPolicyPort") -> str | None:
    if port.end_port is None:
        return None
    return None if isinstance(port.port, int) and port.port <= port.end_port else ""


class NetworkPolicyPort(ApiModel):
    """A port, or a range of ports."""

    protocol: Protocol = Protocol.TCP
    """Transport protocol."""
    port: types.Port | None = None
    """Number or name of the port at the pods behind a Service; absent means every port."""
    end_port: Annotated[int, types.Strict(), Field(ge=1, le=65535)] | None = None
    """Last port of a range that starts at port, which must then be a number."""

    RULES: ClassVar = (
        Rule(
            field="endPort",
            message="needs a port that is a number and not above it; set port or remove endPort",
            cel=(
                "!has(self.endPort) || (has(self.port) && type(self.port) == int"
                " && int(self.port) <= self.endPort)"
            ),
            broken=_bad_range,
        ),
    )


Peers = Annotated[tuple[NetworkPolicyPeer, ...], Field(max_length=20)]


class EgressRule(ApiModel):
    """Connections that the agents may open beyond those the operator knows of."""

    to: Peers = ()
    """Destinations; empty means all of them, and then ports must be given."""
    ports: Annotated[tuple[NetworkPolicyPort, ...], Field(max_length=20)] = ()
    """Ports at the destinations; empty means all of them."""

    RULES: ClassVar = (
        Rule(
            field="",
            message="an egress rule needs to or ports, or it would allow everything; give one",
            cel=(
                "(has(self.to) && self.to.size() > 0) || (has(self.ports) && self.ports.size() > 0)"
            ),
            broken=lambda egress: None if egress.to or egress.ports else "",
        ),
    )
