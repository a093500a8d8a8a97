"""The writes that an evaluation asks for, as values. One action is one API write."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agentsystem_operator.model.references import Ref

Body = Mapping[str, Any]
"""A JSON object as the apiserver takes it."""


class Why(StrEnum):
    """Why something is written: a metric label, a log field and the reason of an Event."""

    MISSING = "Missing"
    """The child does not exist."""
    CHANGED = "Changed"
    """What is declared has changed since the child was last applied."""
    TAMPERED = "Tampered"
    """Somebody else changed a field of ours."""
    REPLICAS = "Replicas"
    """The number of replicas differs from the declared one."""
    NOT_WANTED = "NotWanted"
    """The agent was removed, or nothing uses the child any more."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A complete intended child, with its hash."""

    ref: Ref
    body: Body
    """With apiVersion, kind, metadata (labels, annotations incl. the intent, ownerReferences)."""
    intent: str
    ownership: str
    """Digest of the fields that our manager owns after this apply (replicas aside)."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply with the main field manager, forced."""

    manifest: Manifest
    uid: str | None
    """The object we expect; None: it was read as absent and is to be made."""
    reason: Why
    by: tuple[str, ...] = ()
    """Who changed what is restored, as far as the apiserver recorded it."""


@dataclass(frozen=True, slots=True)
class HandOverReplicas:
    """Give `spec.replicas` of a Deployment from the main to the scale manager."""

    ref: Ref
    uid: str | None
    """None: of the Deployment that was made by the action before."""


@dataclass(frozen=True, slots=True)
class SetRecreate:
    """Give a Deployment the strategy Recreate, and clear `rollingUpdate`, which it forbids.

    An apply cannot: it drops only what nobody else owns, and whoever changed the strategy owns
    what the apiserver then filled in.
    """

    ref: Ref
    uid: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Set replicas through the scale subresource with the scale manager."""

    ref: Ref
    uid: str
    replicas: int
    reason: Why
    before: int
    by: tuple[str, ...] = ()
    """Who wrote the number before, as far as the apiserver recorded it."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one object, guarded by its uid; background propagation."""

    ref: Ref
    uid: str
    reason: Why


Action = Apply | HandOverReplicas | SetRecreate | Scale | Delete


def attempt(action: Apply | HandOverReplicas | SetRecreate | Scale) -> str:
    """Return what tells the same write from another one on the same object."""
    match action:
        case Apply(manifest=manifest):
            return manifest.intent
        case HandOverReplicas():
            return "hand over replicas"
        case SetRecreate():
            return "set strategy Recreate"
        case Scale(replicas=replicas):
            return f"scale to {replicas}"
