"""Names of things in the cluster, as values.

Everything may import this module; it imports nothing of ours.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Each kind of object that the operator makes or watches besides AgentSystem."""

    CONFIG_MAP = "ConfigMap"
    CONTROLLER_REVISION = "ControllerRevision"
    DEPLOYMENT = "Deployment"
    NETWORK_POLICY = "NetworkPolicy"
    PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"
    POD_DISRUPTION_BUDGET = "PodDisruptionBudget"
    REPLICA_SET = "ReplicaSet"
    SERVICE = "Service"
    SERVICE_ACCOUNT = "ServiceAccount"


@dataclass(frozen=True, slots=True, order=True)
class SystemKey:
    """Namespace and name of one AgentSystem: the unit of reconciliation."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Kind, namespace and name of one child."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value} '{self.name}'"
