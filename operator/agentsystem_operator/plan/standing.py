"""What stands under each name that a system needs, and whose it is.

Imported by the diff and the engine. Nothing is ever taken over: a name that holds an object which
this AgentSystem does not control is reported, and from then on nothing at all is written for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentsystem_operator.api.reasons import Reason
from agentsystem_operator.decide.references import Fault
from agentsystem_operator.decide.workloads import Owner
from agentsystem_operator.model import names
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.observed import Absent, Child, Looked, Observed, Taken, Unknown
from agentsystem_operator.model.references import Kind, Ref

Known = Mapping[Ref, Child | Absent | Unknown]


@dataclass(frozen=True, slots=True)
class Unseen:
    """These names have to be read first."""

    refs: frozenset[Ref]


@dataclass(frozen=True, slots=True)
class Occupied:
    """At least one name is taken."""

    faults: tuple[Fault, ...]
    passing: bool
    """Whether all of them belong to an earlier system of the same name, which is being removed."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Nothing is in the way: what stands there is ours, absent, or could not be read."""

    known: Known


def survey(
    wanted: Iterable[tuple[Manifest, str]],
    observed: Observed,
    owner: Owner,
    *,
    free: frozenset[Ref] = frozenset(),
) -> Unseen | Occupied | Clear:
    """Return what stands under the wanted names; a fresh look-up beats the cache.

    Names of `free` are not looked at: nobody else has a reason to use them. An object that is there
    all the same is not touched: making it meets a conflict, and then it is looked at.
    """
    paths = {manifest.ref: path for manifest, path in wanted}
    seen = {**dict.fromkeys(free, Absent()), **observed.children, **observed.lookups}
    unseen = frozenset(paths.keys() - seen.keys())
    if unseen:
        return Unseen(unseen)
    strangers = {ref: why for ref in paths if (why := _stranger(ref, seen[ref], owner))}
    if strangers:
        return Occupied(
            tuple(_fault(ref, paths[ref], why) for ref, why in strangers.items()),
            passing=all(why is _EARLIER for why in strangers.values()),
        )
    return Clear({ref: found for ref in paths if not isinstance(found := seen[ref], Taken)})


_EARLIER = "still belongs to an earlier AgentSystem of this name, which is being removed; waiting"
_STRANGE = "exists and is not owned by this AgentSystem; delete it or choose another name"


def _stranger(ref: Ref, found: Looked, owner: Owner) -> str:
    """Return what is to be said of an object that is not ours, "" of anything else."""
    if isinstance(found, Taken):
        mine = found.controller == f"{names.SYSTEM_KIND}/{owner.key.name}"
        return _EARLIER if mine else _STRANGE
    if not isinstance(found, Child) or found.controller_uid == owner.uid:
        return ""
    if ref.kind is Kind.PERSISTENT_VOLUME_CLAIM and found.controller_uid is None:
        return ""
    return _STRANGE if found.controller_uid is None else _EARLIER


def _fault(ref: Ref, path: str, why: str) -> Fault:
    return Fault(Reason.NAME_TAKEN, path, f"{ref} {why}", passes=why is _EARLIER)
