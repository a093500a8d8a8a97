"""What a system's pods need for the channel to the operator, and the template that has it.

The ConfigMap holds whom pods trust and where they connect. It is no part of a revision: another
authority, or another address, is read by running pods and rolls none of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentsystem_operator.decide.workloads import Owner, Workload
from agentsystem_operator.model import names
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.plan import deployment, metadata

AUDIENCE = "agentsystem.dev/channel"
TOKEN_S = 3600
"""Kubelet makes a new one when a fifth of it is left; a connection lives no longer than its own."""
FOLDER = "/etc/agentsystem/channel"
VARIABLE = "AGENT_CHANNEL"
VOLUME = "channel"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the operator can be reached."""

    namespace: str
    port: int
    """Of its pods: NetworkPolicies see those."""
    address: str
    """Host and port of its Service."""


@dataclass(frozen=True, slots=True)
class Channel:
    """The channel of an operator that has one."""

    place: Place
    bundle: str
    """Certificates of its authority, "" while they are not known."""


def build_authority(owner: Owner, channel: Channel) -> Manifest | None:
    """Return the ConfigMap for a system's pods; None while there is nothing to trust yet."""
    if not channel.bundle:
        return None
    content = {"data": {"address": channel.place.address, "ca.crt": channel.bundle}}
    return metadata.manifest(names.authority(owner.key), owner, content, agent=None)


def egress(place: Place) -> dict[str, Any]:
    """Return the rule that lets pods connect to the operator."""
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}}
    pods = {"matchLabels": {"app.kubernetes.io/name": names.OPERATOR}}
    return {
        "to": [{"namespaceSelector": namespace, "podSelector": pods}],
        "ports": [{"protocol": "TCP", "port": place.port}],
    }


def deployment_spec(workload: Workload, revision: str) -> Mapping[str, Any]:
    """Return the Deployment's spec in version 2 of the template: version 1 and the channel."""
    spec = deployment.spec_of(workload, revision)
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    mount = {"name": VOLUME, "mountPath": FOLDER, "readOnly": True}
    agent = {
        **container,
        "env": [{"name": VARIABLE, "value": FOLDER}, *container["env"]],
        "volumeMounts": [*container["volumeMounts"], mount],
    }
    volumes = [*pod["volumes"], _volume(workload)]
    pod = {**pod, "containers": [agent], "volumes": volumes}
    return {**spec, "template": {**spec["template"], "spec": pod}}


def _volume(workload: Workload) -> dict[str, Any]:
    token = {"audience": AUDIENCE, "expirationSeconds": TOKEN_S, "path": "token"}
    # Optional: without an operator, or without its channel, a pod starts and serves all the same.
    authority = {"name": names.authority(workload.owner.key).name, "optional": True}
    sources = [{"serviceAccountToken": token}, {"configMap": authority}]
    return {"name": VOLUME, "projected": {"sources": sources}}
