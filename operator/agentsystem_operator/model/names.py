"""What children are called and how they are labelled: the one place where names are made.

A system has at most 30 characters, an agent 20, neither holds "--", so no two names that are made
here can be equal, and none is longer than 63. Everything may import this.
"""

from collections.abc import Mapping

from agentsystem_operator.model.references import Kind, Ref, SystemKey

API_VERSION = "agentsystem.dev/v1alpha1"
SYSTEM_KIND = "AgentSystem"

SYSTEM = "agentsystem.dev/system"
AGENT = "agentsystem.dev/agent"
SLOT = "agentsystem.dev/slot"
REVISION = "agentsystem.dev/revision"
INTENT = "agentsystem.dev/intent"
TEMPLATE = "agentsystem.dev/template"
INSTANCE = "app.kubernetes.io/instance"
MANAGED_BY = "app.kubernetes.io/managed-by"
OPERATOR = "agentsystem-operator"

ACTIVE_SLOT = "a"
HTTP_PORT = 8000
METRICS_PORT = 9000
CONTAINER = "agent"

SHARED_KINDS = frozenset(
    {
        Kind.SERVICE,
        Kind.SERVICE_ACCOUNT,
        Kind.POD_DISRUPTION_BUDGET,
        Kind.NETWORK_POLICY,
        Kind.PERSISTENT_VOLUME_CLAIM,
    }
)
"""Kinds of which an agent has one object, whatever its slots and revisions."""


def agent_child(key: SystemKey, agent: str, kind: Kind) -> Ref:
    """Return the name of an agent's only object of a kind: `<system>--<agent>`."""
    if kind not in SHARED_KINDS:
        raise ValueError(f"an agent has more than one {kind.value}")
    return Ref(kind, key.namespace, f"{key.name}--{agent}")


def deployment(key: SystemKey, agent: str, slot: str = ACTIVE_SLOT) -> Ref:
    """Return the name of the Deployment in a slot: `<system>--<agent>-<slot>`."""
    return Ref(Kind.DEPLOYMENT, key.namespace, f"{key.name}--{agent}-{slot}")


def config_map(key: SystemKey, agent: str, revision: str) -> Ref:
    """Return the name of an agent's rendered config: `<system>--<agent>-<revision>`."""
    return Ref(Kind.CONFIG_MAP, key.namespace, f"{key.name}--{agent}-{revision}")


def cluster_keys(key: SystemKey) -> Ref:
    """Return the name of the keys that verify the tokens of siblings: `<system>--jwks`.

    No config of an agent is called so, since those end in a revision.
    """
    return Ref(Kind.CONFIG_MAP, key.namespace, f"{key.name}--jwks")


def authority(key: SystemKey) -> Ref:
    """Return the name of what a system's pods need for the channel: `<system>--ca`.

    No agent's config can be called so: its name ends in a revision.
    """
    return Ref(Kind.CONFIG_MAP, key.namespace, f"{key.name}--ca")


def controller_revision(key: SystemKey, revision: str) -> Ref:
    """Return the name of the record of a system's revision: `<system>--<revision>`."""
    return Ref(Kind.CONTROLLER_REVISION, key.namespace, f"{key.name}--{revision}")


def entry_service(key: SystemKey) -> Ref:
    """Return the name of the Service of the whole system: its own."""
    return Ref(Kind.SERVICE, key.namespace, key.name)


def service_host(key: SystemKey, agent: str) -> str:
    """Return the DNS name of an agent's Service inside the cluster."""
    return f"{agent_child(key, agent, Kind.SERVICE).name}.{key.namespace}.svc"


def labels(key: SystemKey, agent: str | None) -> Mapping[str, str]:
    """Return the labels of a child of an agent, or of the whole system when `agent` is None."""
    common = {
        "app.kubernetes.io/name": "agentsystem",
        INSTANCE: key.name,
        "app.kubernetes.io/component": agent or "system",
        "app.kubernetes.io/part-of": key.name,
        MANAGED_BY: OPERATOR,
        SYSTEM: key.name,
    }
    return common if agent is None else {**common, AGENT: agent}


def pod_selector(key: SystemKey, agent: str) -> Mapping[str, str]:
    """Return the labels that select an agent's pods in every slot."""
    return {SYSTEM: key.name, AGENT: agent}


def slot_selector(key: SystemKey, agent: str, slot: str = ACTIVE_SLOT) -> Mapping[str, str]:
    """Return the labels that select the pods of one slot: exactly what a Deployment selects."""
    return {**pod_selector(key, agent), SLOT: slot}
