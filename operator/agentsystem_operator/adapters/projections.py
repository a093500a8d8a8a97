"""Live objects, decoded straight into the few fields that the engine looks at.

msgspec skips everything else while decoding, so a 20 KiB Deployment costs microseconds and 2 KiB.
Absent and odd fields give defaults: what a cluster holds is never a reason to fail.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from sys import intern
from typing import Any

import msgspec
import orjson

from agentsystem_operator.model import names, observed, ownership, records, rivals
from agentsystem_operator.model.references import Kind, Ref

MAIN_MANAGER = "agentsystem"
SCALE_MANAGER = "agentsystem-scale"
_UNDATED = "9999"
"""Later than any time: whatever is not dated may be news."""


class _Struct(msgspec.Struct, rename="camel", gc=False):
    """Common settings: camelCase, and no reference cycles to collect."""


class Labels(msgspec.Struct, gc=False):
    """The labels that are ours."""

    system: str = msgspec.field(name=names.SYSTEM, default="")
    agent: str = msgspec.field(name=names.AGENT, default="")
    revision: str = msgspec.field(name=names.REVISION, default="")
    managed_by: str = msgspec.field(name=names.MANAGED_BY, default="")


class Annotations(msgspec.Struct, gc=False):
    """The annotation that is ours, and the scheduler's on claims."""

    intent: str = msgspec.field(name=names.INTENT, default="")
    node: str = msgspec.field(name="volume.kubernetes.io/selected-node", default="")


class Owner(_Struct):
    """One owner reference."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class Managed(_Struct):
    """One entry of managedFields; its fields stay undecoded until they are needed."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    time: str = ""
    fields_v1: msgspec.Raw = msgspec.field(name="fieldsV1", default=msgspec.Raw(b"{}"))


class Meta(_Struct):
    """Metadata of any object."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
    labels: Labels = msgspec.field(default_factory=Labels)
    annotations: Annotations = msgspec.field(default_factory=Annotations)
    owner_references: list[Owner] = []
    managed_fields: list[Managed] = []


class Plain(_Struct):
    """An object of which only metadata matters. Also fits a Status, whose `code` it keeps."""

    metadata: Meta = msgspec.field(default_factory=Meta)
    code: int = 0


class Condition(_Struct):
    """One condition of a Deployment."""

    type: str = ""
    status: str = ""
    reason: str = ""
    last_transition_time: str = ""


class _TemplateMeta(_Struct):
    labels: Labels = msgspec.field(default_factory=Labels)


class _Template(_Struct):
    metadata: _TemplateMeta = msgspec.field(default_factory=_TemplateMeta)


class _Strategy(_Struct):
    rolling_update: msgspec.Raw = msgspec.Raw(b"null")


class DeploymentSpec(_Struct):
    """Spec of a Deployment."""

    replicas: int = 1
    strategy: _Strategy = msgspec.field(default_factory=_Strategy)
    template: _Template = msgspec.field(default_factory=_Template)


class DeploymentStatus(_Struct):
    """Status of a Deployment."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    conditions: list[Condition] = []


class Deployment(Plain):
    """A Deployment."""

    spec: DeploymentSpec = msgspec.field(default_factory=DeploymentSpec)
    status: DeploymentStatus = msgspec.field(default_factory=DeploymentStatus)


class _ReplicaSetSpec(_Struct):
    template: _Template = msgspec.field(default_factory=_Template)


class ReplicaSet(Plain):
    """A ReplicaSet: it tells which revisions may still have, or get back, pods."""

    spec: _ReplicaSetSpec = msgspec.field(default_factory=_ReplicaSetSpec)


class ControllerRevision(Plain):
    """A record of a system's revision."""

    revision: int = 0
    data: msgspec.Raw = msgspec.Raw(b"null")


SHAPES: Mapping[Kind, type[Plain]] = {
    **dict.fromkeys(Kind, Plain),
    Kind.DEPLOYMENT: Deployment,
    Kind.REPLICA_SET: ReplicaSet,
    Kind.CONTROLLER_REVISION: ControllerRevision,
}


def decoder(kind: Kind) -> Callable[[bytes], observed.Child]:
    """Return the function that turns one whole object of a kind, as JSON, into a Child."""
    decode = msgspec.json.Decoder(SHAPES[kind]).decode
    return lambda content: child(kind, decode(content))


def child(kind: Kind, live: Plain) -> observed.Child:
    """Return the projection of a live object."""
    meta = live.metadata
    controller = controller_of(meta)
    ours = _fields(_entry(meta, MAIN_MANAGER, sub=""))
    # A system's children repeat these names; interned, each is in memory once.
    return observed.Child(
        ref=Ref(kind, intern(meta.namespace), meta.name),
        uid=meta.uid,
        resource_version=meta.resource_version,
        controller_uid=intern(controller.uid) if controller else None,
        # Written by anybody else it tells nothing about what we last applied.
        intent=meta.annotations.intent if _owns(ours, *_INTENT) else "",
        ownership=ownership.of_live(kind, ours) if ours else "",
        claims=_claims(meta),
        system=intern(meta.labels.system),
        agent=intern(meta.labels.agent),
        revision=_revision(live),
        deleting=meta.deletion_timestamp is not None,
        rollout=_rollout(live) if isinstance(live, Deployment) else None,
        record=_record(live, ours) if isinstance(live, ControllerRevision) else None,
        node=intern(meta.annotations.node) if kind is Kind.PERSISTENT_VOLUME_CLAIM else "",
    )


_INTENT = ("f:metadata", "f:annotations", f"f:{names.INTENT}")


def controller_of(meta: Meta) -> Owner | None:
    """Return the owner reference that controls an object."""
    return next((owner for owner in meta.owner_references if owner.controller), None)


def _claims(meta: Meta) -> tuple[rivals.Claim, ...]:
    """Return what others have written, status aside, since our last apply that changed anything."""
    ours = _entry(meta, MAIN_MANAGER, sub="")
    since = ours.time if ours else ""
    later = [
        entry
        for entry in meta.managed_fields
        if entry.manager not in (MAIN_MANAGER, SCALE_MANAGER)
        and entry.subresource != "status"
        and _time(entry) >= since
    ]
    if not later:
        return ()
    newest = sorted(later, key=_time)[-rivals.KEPT_AT_MOST :]
    fields = [(entry.manager, bytes(entry.fields_v1)) for entry in newest]
    return tuple(rivals.Claim(m, f) for m, f in fields if len(f) <= rivals.FIELDS_BYTES)


def _time(entry: Managed) -> str:
    """Return when a manager wrote last; writes of the scale subresource are not dated."""
    return entry.time or _UNDATED


def _revision(live: Plain) -> str:
    if isinstance(live, ReplicaSet):
        return live.metadata.labels.revision or live.spec.template.metadata.labels.revision
    return live.metadata.labels.revision


def _entry(meta: Meta, manager: str, *, sub: str) -> Managed | None:
    for entry in meta.managed_fields:
        if (entry.manager, entry.operation, entry.subresource) == (manager, "Apply", sub):
            return entry
    return None


def _replicas_owner(meta: Meta) -> observed.ReplicasOwner:
    if _owns_replicas(_entry(meta, MAIN_MANAGER, sub="")):
        return observed.ReplicasOwner.MAIN
    if _owns_replicas(_entry(meta, SCALE_MANAGER, sub="scale")):
        return observed.ReplicasOwner.SCALE
    return observed.ReplicasOwner.OTHER


def _owns_replicas(entry: Managed | None) -> bool:
    return _owns(_fields(entry), "f:spec", "f:replicas")


def _fields(entry: Managed | None) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = orjson.loads(bytes(entry.fields_v1)) if entry else {}
    return fields


def _owns(fields: Mapping[str, Any], *path: str) -> bool:
    for step in path:
        if step not in fields:
            return False
        fields = fields[step]
    return True


def _rollout(live: Deployment) -> observed.Rollout:
    conditions = {condition.type: condition for condition in live.status.conditions}
    progressing = conditions.get("Progressing", Condition())
    return observed.Rollout(
        generation=live.metadata.generation,
        observed_generation=live.status.observed_generation,
        wanted=live.spec.replicas,
        replicas=live.status.replicas,
        updated=live.status.updated_replicas,
        ready=live.status.ready_replicas,
        available=live.status.available_replicas,
        replicas_owner=_replicas_owner(live.metadata),
        revision=live.spec.template.metadata.labels.revision,
        deadline_exceeded=progressing.reason == "ProgressDeadlineExceeded",
        unavailable_since=_unavailable_since(conditions.get("Available")),
        rolls=bytes(live.spec.strategy.rolling_update) != b"null",
        moving=progressing.reason not in ("", "NewReplicaSetAvailable"),
    )


def _unavailable_since(available: Condition | None) -> datetime | None:
    if available is None or available.status != "False":
        return None
    try:
        return datetime.fromisoformat(available.last_transition_time)
    except ValueError:
        return None


def _record(live: ControllerRevision, ours: Mapping[str, Any]) -> observed.RevisionRecord:
    data: Any = orjson.loads(bytes(live.data))
    return observed.RevisionRecord(
        # Its name cannot be changed, its label can.
        revision=live.metadata.name.rpartition("--")[2],
        number=live.revision if _owns(ours, "f:revision") else observed.NOT_OURS,
        pins=records.pins_of(data),
    )
