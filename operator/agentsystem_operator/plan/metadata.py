"""What all children have in common: identity, labels, owner, and the hash of the intent.

Imported by the builders only.
"""

from collections.abc import Mapping
from typing import Any

from agentsystem_operator.decide.workloads import Owner
from agentsystem_operator.model import hashing, names, ownership
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.references import Kind, Ref

API_VERSIONS: Mapping[Kind, str] = {
    Kind.CONFIG_MAP: "v1",
    Kind.CONTROLLER_REVISION: "apps/v1",
    Kind.DEPLOYMENT: "apps/v1",
    Kind.NETWORK_POLICY: "networking.k8s.io/v1",
    Kind.PERSISTENT_VOLUME_CLAIM: "v1",
    Kind.POD_DISRUPTION_BUDGET: "policy/v1",
    Kind.SERVICE: "v1",
    Kind.SERVICE_ACCOUNT: "v1",
}


OWNERSHIPS_MAX = 1024
"""Of some hundred systems. What is being rolled out is planned several times within seconds, and
that alone was a tenth of the operator's processor time."""
_ownerships: dict[str, str] = {}
"""By intent, which says everything about a body that matters for it. The newest ones."""


def owner_reference(owner: Owner) -> dict[str, Any]:
    """Return the reference by which the garbage collector removes children with their system.

    Without blockOwnerDeletion: it would need the right to update finalizers of the owner.
    """
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.SYSTEM_KIND,
        "name": owner.key.name,
        "uid": owner.uid,
        "controller": True,
    }


def manifest(
    ref: Ref,
    owner: Owner,
    content: Mapping[str, Any],
    *,
    agent: str | None,
    labels: Mapping[str, str] | None = None,
    outlives_owner: bool = False,
) -> Manifest:
    """Return the complete child: `content` under its identity, labels, owner and intent."""
    metadata: dict[str, Any] = {
        "name": ref.name,
        "namespace": ref.namespace,
        "labels": {**names.labels(owner.key, agent), **(labels or {})},
    }
    if outlives_owner:
        # Argo CD, where it tracks by this label, removes what has an Application's name in it, is
        # not in its repository, and has no owner. An Application is often named like its system.
        del metadata["labels"][names.INSTANCE]
    else:
        metadata["ownerReferences"] = [owner_reference(owner)]
    body = {
        "apiVersion": API_VERSIONS[ref.kind],
        "kind": ref.kind.value,
        "metadata": metadata,
        **content,
    }
    intent = hashing.of(body)
    metadata["annotations"] = {names.INTENT: intent}
    return Manifest(ref, body, intent, _ownership(ref.kind, body, intent))


def _ownership(kind: Kind, body: Mapping[str, Any], intent: str) -> str:
    known = _ownerships.get(intent)
    if known is None:
        known = _ownerships[intent] = ownership.of_manifest(kind, body)
        if len(_ownerships) > OWNERSHIPS_MAX:
            del _ownerships[next(iter(_ownerships))]
    return known


def born_with(template: Manifest, replicas: int) -> Manifest:
    """Return a Deployment's manifest for its creation: the only time that it states replicas."""
    body = {**template.body, "spec": {"replicas": replicas, **template.body["spec"]}}
    return Manifest(template.ref, body, template.intent, template.ownership)
