"""The cluster as the shell needs it: small Protocols and the few errors they raise.

Adapters implement these; the shell depends on nothing else of them. Fakes under `tests/fakes`
implement them too and pass the same contract suite.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from agentsystem_operator.model import evaluation, observed
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.references import Ref, SystemKey


class ClusterError(Exception):
    """Any failure of a call to the cluster."""


class ClusterUnreachable(ClusterError):
    """No answer, or the apiserver says it is overloaded: pause the whole queue, then retry."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Refused(ClusterError):
    """The apiserver understood and said no (400, 403, 422): retrying alone does not help.

    The message is cleaned of echoed values (I15).
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class ConflictLost(ClusterError):
    """The object is not the one we meant any more (409, uid or version differs): look again."""


class Gone(ClusterError):
    """The object does not exist (404)."""


class NotLeading(ClusterError):
    """We may not write: the Lease is someone else's or could not be renewed in time."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which AgentSystem stands under a name right now."""

    uid: str
    generation: int
    deleting: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """One AgentSystem in a metadata-only list."""

    uid: str
    resource_version: str


class Cluster(Protocol):
    """Reads and writes on one cluster; each call is bounded to 5 s and one attempt."""

    async def read(self, ref: Ref, *, owner_uid: str) -> observed.Looked:
        """Return what stands under a name; never raises: failure is `Unknown`."""

    async def read_config_map(
        self, namespace: str, name: str
    ) -> observed.Text | observed.Absent | observed.Unknown:
        """Return a user's ConfigMap; never raises."""

    async def read_cluster_keys(self) -> str | observed.Unknown:
        """Return the JSON Web Key Set that verifies service-account tokens; never raises."""

    async def identify(self, key: SystemKey) -> Identity | observed.Absent | observed.Unknown:
        """Return who bears that name now, straight from the apiserver; raises only `Refused`.

        Asked before writing on behalf of a system, since a watch may show the past. A refusal
        concerns one namespace, so unlike other doubt it holds up nobody else.
        """

    async def apply(self, manifest: Manifest, *, uid: str | None) -> observed.Child:
        """Server-side apply, forced. With `uid` None the object must not exist yet."""

    async def hand_over_replicas(self, ref: Ref, *, uid: str) -> observed.Child:
        """Move the ownership of `spec.replicas` from the main to the scale manager."""

    async def set_recreate(self, ref: Ref, *, uid: str) -> observed.Child:
        """Set a Deployment's strategy to Recreate and nothing else, whoever owns it."""

    async def scale(self, ref: Ref, *, uid: str, replicas: int) -> str:
        """Server-side apply of the scale subresource; returns the Deployment's new version."""

    async def delete(self, ref: Ref, *, uid: str) -> None:
        """Delete with a uid precondition; an object already gone is success."""

    async def write_status(self, key: SystemKey, *, version: str, status: Mapping[str, Any]) -> str:
        """Replace `.status` of exactly that version of the AgentSystem; returns the new version.

        Server-side apply. A custom resource's status takes no uid as a guard, but a version is
        unique in a cluster: ConflictLost when the object is another, or has changed since.
        """

    async def send_event(self, key: SystemKey, *, uid: str, event: evaluation.Event) -> None:
        """Create one Event about the AgentSystem; one that exists already is success."""


T_contra = TypeVar("T_contra", contravariant=True)


class Sink(Protocol[T_contra]):
    """What a reflector feeds: the owner of the copies."""

    def saw(self, live: T_contra) -> None:
        """Take an object that exists."""

    def gone(self, live: T_contra) -> None:
        """Take an object that was deleted, in its last state."""

    def listed(
        self, scope: str | None, *, found: Set[tuple[str, str]], version: str, went_back: bool
    ) -> None:
        """Forget what a complete list of a namespace (None: all) as of `version` did not show.

        `went_back`: the cluster is older than what was seen before (it was restored), so newer
        versions prove nothing.
        """


class Systems(Protocol):
    """What the sweep needs to know of all AgentSystems."""

    async def list_identities(self, scope: str | None) -> tuple[str, Mapping[SystemKey, Listed]]:
        """Return the list's resource version and every AgentSystem of a namespace (None: of all).

        Metadata only.
        """

    async def fetch(self, key: SystemKey) -> Mapping[str, Any] | None:
        """Return one AgentSystem as a whole, or None when there is none."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a Lease object says."""

    holder: str
    """Empty when it was released."""
    duration_s: float
    renewed: str
    """As written by the holder: compared for change only, since its clock is not ours."""
    transitions: int
    version: str
    """Resource version: a write replaces exactly this one."""
    address: str = ""
    """Where the holder's channel is; empty when it has none."""


class Leases(Protocol):
    """One Lease object, read and replaced whole."""

    async def read(self) -> Lease | None:
        """Return the Lease, or None when there is none; raises errors of this module."""

    async def write(self, lease: Lease) -> Lease:
        """Create the Lease (empty version) or replace that version; ConflictLost if it changed."""


@dataclass(frozen=True, slots=True)
class SecretTexts:
    """The operator's own Secret."""

    texts: Mapping[str, str] = field(repr=False)
    """Its entries, decoded."""


class AuthoritySecret(Protocol):
    """The Secret that holds the channel's certificate authority."""

    async def read(self) -> SecretTexts:
        """Return it; raises errors of this module, Gone when there is none."""

    async def write(self, content: SecretTexts) -> None:
        """Replace the version that was read last; ConflictLost if it changed since."""


class Clock(Protocol):
    """Time, so that tests can own it."""

    def now(self) -> datetime:
        """Return the present, aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
