"""What is known of the cluster when a system is evaluated.

Filled by the shell from its caches and from reads that the engine asked for; read by the pure
core only. Live objects are kept as small projections, never as whole bodies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agentsystem_operator.model.heard import Heard, Unrest
from agentsystem_operator.model.references import Ref
from agentsystem_operator.model.rivals import Claim


class ReplicasOwner(StrEnum):
    """Which field manager owns `spec.replicas` of a Deployment."""

    MAIN = "main"
    """Our main manager: the hand-over after creation has not happened yet."""
    SCALE = "scale"
    """Our scale manager: the settled state."""
    OTHER = "other"
    """Nobody that we know: someone took it or it was never stated."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """Counters of one Deployment, from its spec and status."""

    generation: int
    observed_generation: int
    wanted: int
    """`spec.replicas`."""
    replicas: int
    updated: int
    ready: int
    available: int
    replicas_owner: ReplicasOwner
    revision: str
    """Label `agentsystem.dev/revision` of the pod template, empty when absent."""
    deadline_exceeded: bool
    unavailable_since: datetime | None
    """When its condition Available became False; None while it is True or unknown."""
    rolls: bool = False
    """`spec.strategy.rollingUpdate` is there."""
    moving: bool = False
    """Its controller says that a rollout has begun and not been completed yet; lost pods and
    scaling do not count."""


@dataclass(frozen=True, slots=True)
class Pin:
    """What one agent was given when its pod template was last rendered (I21)."""

    declared: str
    """Hash of what the user declared for this agent, defaults of the operator aside."""
    revision: str
    """The agent's revision: hash of its pod template and rendered config."""
    template: int
    """Version of the pod template that rendered it."""
    image: str
    defaults: Mapping[str, str | int]
    """Tier defaults that went into it, by name."""


NOT_OURS = 0
"""Number of a record whose number was written by somebody else; ours begin with 1."""


@dataclass(frozen=True, slots=True)
class RevisionRecord:
    """One ControllerRevision of a system, as far as the engine needs it."""

    revision: str
    """From its name."""
    number: int
    pins: Mapping[str, Pin]
    """By agent name."""


@dataclass(frozen=True, slots=True)
class Child:
    """Projection of one live object that carries our labels."""

    ref: Ref
    uid: str
    resource_version: str
    controller_uid: str | None
    """uid of the owner reference with controller=true."""
    intent: str
    """Annotation `agentsystem.dev/intent`: hash of the manifest that we last applied; empty when
    somebody else wrote or removed it."""
    ownership: str
    """Digest of the fields that our main manager owns (`model.ownership.digest`), or empty."""
    system: str = ""
    agent: str = ""
    revision: str = ""
    """Labels `agentsystem.dev/{system,agent,revision}`, empty when absent."""
    deleting: bool = False
    rollout: Rollout | None = None
    """Deployments only."""
    record: RevisionRecord | None = None
    """ControllerRevisions only."""
    node: str = ""
    """PersistentVolumeClaims only: the node that the scheduler had the volume made for; empty
    while there is none, and where volumes are made before pods."""
    claims: tuple[Claim, ...] = ()
    """What other managers have written since we last applied it; mostly nothing."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A read said: no such object."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A read found an object of that name which our AgentSystem does not control."""

    controller: str
    """`Kind/name` of its controller, or empty when it has none."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A read failed; says why. Doubt may keep things, it never removes them (I1, I2)."""

    why: str
    retry_after_s: float | None = None
    """For how long the apiserver, being overloaded, asked to be left alone."""


@dataclass(frozen=True, slots=True)
class Text:
    """Content of a user's ConfigMap: its `data` by key (binaryData aside)."""

    items: Mapping[str, str]


Looked = Child | Absent | Taken | Unknown
"""What a read of one name gave."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything the engine may look at for one system."""

    children: Mapping[Ref, Child]
    """Live objects with our labels for this system, from synced caches."""
    lookups: Mapping[Ref, Looked] = field(default_factory=dict)
    """Names that were read because the caches do not hold them."""
    config_maps: Mapping[str, Text | Absent | Unknown] = field(default_factory=dict)
    """The user's ConfigMaps that the spec refers to, by name."""
    heard: Heard | None = None
    """What the system's pods say; None when the operator has no channel."""
    authority: str = ""
    """Certificates by which pods know the operator, "" while there are none."""
    cluster_keys: str | Unknown | None = None
    """The JSON Web Key Set that verifies service-account tokens; None: not read yet."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What one pass hands to the next in memory; losing it (a restart) is harmless."""

    composed: str = ""
    """Hash of the status that the last pass came to, written or not."""
    composed_since: datetime | None = None
    """Since when it has been that one: what moves pod by pod is written after 10 s without movement
    (I7)."""
    accepted_ownership: Mapping[Ref, tuple[str, str]] = field(default_factory=dict)
    """(intent, ownership digest) that the apiserver answered to our own last apply, where it
    differs from what we computed (an admission webhook added fields): not drift."""
    refused: Mapping[Ref, tuple[str, str]] = field(default_factory=dict)
    """(`actions.attempt`, cleaned message) of writes that the apiserver refused as invalid: shown
    in ConfigValid, and not sent again until something else is wanted or the backoff is over."""
    doubt_since: datetime | None = None
    """Since when something that the spec refers to could not be read; None while it can."""
    unrest: Mapping[str, Unrest] = field(default_factory=dict)
    """What keeps providers and routes that flap from being written all the time."""
