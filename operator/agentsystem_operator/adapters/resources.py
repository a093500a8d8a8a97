"""Where each kind lives in the Kubernetes API. The operator's rights list exactly these."""

from dataclasses import dataclass

from agentsystem_operator.model.references import Kind, Ref, SystemKey


@dataclass(frozen=True, slots=True)
class Resource:
    """Group, version and plural name of a kind."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """Return what objects of the kind state as `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def collection(self, namespace: str | None) -> str:
        """Return the path of all objects in a namespace, or in the cluster for None."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{scope}/{self.plural}"

    def item(self, namespace: str, name: str, *, sub: str = "") -> str:
        """Return the path of one object, or of a subresource of it."""
        return f"{self.collection(namespace)}/{name}" + (f"/{sub}" if sub else "")


AGENT_SYSTEM = Resource("agentsystem.dev", "v1alpha1", "agentsystems", "AgentSystem")
EVENT = Resource("events.k8s.io", "v1", "events", "Event")
SECRET = Resource("", "v1", "secrets", "Secret")
LEASE = Resource("coordination.k8s.io", "v1", "leases", "Lease")

CHILDREN = {
    Kind.CONFIG_MAP: Resource("", "v1", "configmaps", "ConfigMap"),
    Kind.CONTROLLER_REVISION: Resource("apps", "v1", "controllerrevisions", "ControllerRevision"),
    Kind.DEPLOYMENT: Resource("apps", "v1", "deployments", "Deployment"),
    Kind.NETWORK_POLICY: Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
    Kind.PERSISTENT_VOLUME_CLAIM: Resource(
        "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"
    ),
    Kind.POD_DISRUPTION_BUDGET: Resource(
        "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"
    ),
    Kind.REPLICA_SET: Resource("apps", "v1", "replicasets", "ReplicaSet"),
    Kind.SERVICE: Resource("", "v1", "services", "Service"),
    Kind.SERVICE_ACCOUNT: Resource("", "v1", "serviceaccounts", "ServiceAccount"),
}


def child(ref: Ref, *, sub: str = "") -> str:
    """Return the path of a child, or of a subresource of it."""
    return CHILDREN[ref.kind].item(ref.namespace, ref.name, sub=sub)


def system(key: SystemKey, *, sub: str = "") -> str:
    """Return the path of an AgentSystem, or of a subresource of it."""
    return AGENT_SYSTEM.item(key.namespace, key.name, sub=sub)
