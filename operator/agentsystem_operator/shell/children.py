"""Live children of all systems, as the reflectors saw them and as our own writes were answered.

Fed in any order: an older state never replaces a newer one, and a deleted object stays deleted
until something newer of that name appears (I6).
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from typing import NamedTuple

from agentsystem_operator.model import versions
from agentsystem_operator.model.observed import Child
from agentsystem_operator.model.references import Kind, Ref, SystemKey

BURIED_S = 60.0
"""How long a deleted name is remembered, so that the late answer to a write does not bring it back.

Twelve times what a write may last. Longer would only be memory that fills for hours.
"""
TOMBSTONES_MAX = 10_000
"""And no more of them than that: a thousand systems that are deleted at once."""


class _Tombstone(NamedTuple):
    version: str
    since: float


class Children:
    """The cache of children, indexed by the system that their labels name."""

    def __init__(
        self, *, changed: Callable[[SystemKey], None], monotonic: Callable[[], float]
    ) -> None:
        self._changed = changed
        self._monotonic = monotonic
        self._by_system: dict[SystemKey, dict[Ref, Child]] = {}
        self._owner: dict[Ref, SystemKey] = {}
        self._buried: OrderedDict[Ref, _Tombstone] = OrderedDict()

    def of(self, key: SystemKey) -> Mapping[Ref, Child]:
        """Return the children of a system, as a copy."""
        return dict(self._by_system.get(key, {}))

    def get(self, ref: Ref) -> Child | None:
        """Return one child."""
        key = self._owner.get(ref)
        return None if key is None else self._by_system[key][ref]

    def __len__(self) -> int:
        return len(self._owner)

    def put(self, child: Child) -> None:
        """Take a state of a child unless a newer one is known; tell whose it is if it differs."""
        ref, old = child.ref, self.get(child.ref)
        if old is not None and versions.is_older(child.resource_version, old.resource_version):
            return
        buried = self._buried.get(ref)
        if buried is not None and not versions.is_newer(child.resource_version, buried.version):
            return
        self._buried.pop(ref, None)
        self._store(child)
        if old is None or replace(child, resource_version=old.resource_version) != old:
            self._tell(old, child)

    def remove(self, child: Child) -> None:
        """Take the last state of a deleted child."""
        old = self.get(child.ref)
        if _belongs_to_newer(old, child):
            return
        self._bury(child.ref, child.resource_version)
        if old is not None:
            self._drop(old)
            self._tell(old)

    def mark_deleting(self, ref: Ref, *, uid: str) -> None:
        """Remember that we deleted a child; its disappearance will be reported by its watch."""
        old = self.get(ref)
        if old is not None and old.uid == uid and not old.deleting:
            self._store(replace(old, deleting=True))

    def forget(self, ref: Ref) -> None:
        """Drop a child that a read did not find any more."""
        old = self.get(ref)
        if old is not None:
            self._drop(old)

    def sweep(
        self,
        kind: Kind,
        scope: str | None,
        *,
        found: Set[tuple[str, str]],
        version: str,
        went_back: bool,
    ) -> None:
        """Remove children of a kind that a complete list did not show, but none made after it.

        In a cluster that was restored to an older state, "made after" means nothing: whatever is
        shown next is the truth, however old its version.
        """
        stale = [
            child
            for ref in list(self._owner)
            if _is_of(ref, kind, scope)
            and (ref.namespace, ref.name) not in found
            and (child := self.get(ref)) is not None
            and (went_back or not versions.is_newer(child.resource_version, version))
        ]
        for child in stale:
            self._drop(child)
            self._tell(child)
        if went_back:
            self._distrust(kind, scope)

    def _distrust(self, kind: Kind, scope: str | None) -> None:
        """Let any state replace the known ones of a kind, and any deleted one come back."""
        for ref in [ref for ref in self._buried if _is_of(ref, kind, scope)]:
            del self._buried[ref]
        for ref in [ref for ref in self._owner if _is_of(ref, kind, scope)]:
            known = self.get(ref)
            if known is not None:
                self._store(replace(known, resource_version=versions.OLDEST))

    def _store(self, child: Child) -> None:
        key = SystemKey(child.ref.namespace, child.system)
        old = self._owner.get(child.ref)
        if old is not None and old != key:
            self._drop(self._by_system[old][child.ref])
        self._by_system.setdefault(key, {})[child.ref] = child
        self._owner[child.ref] = key

    def _drop(self, child: Child) -> None:
        key = self._owner.pop(child.ref)
        group = self._by_system[key]
        del group[child.ref]
        if not group:
            del self._by_system[key]

    def _bury(self, ref: Ref, version: str) -> None:
        now = self._monotonic()
        self._buried[ref] = _Tombstone(version, now)
        self._buried.move_to_end(ref)
        while len(self._buried) > TOMBSTONES_MAX or self._oldest().since < now - BURIED_S:
            self._buried.popitem(last=False)

    def _oldest(self) -> _Tombstone:
        return next(iter(self._buried.values()))

    def _tell(self, *states: Child | None) -> None:
        """Tell every system that a state names, once: a relabelled child concerns two."""
        systems = {state.system: state for state in states if state is not None and state.system}
        for name, state in systems.items():
            self._changed(SystemKey(state.ref.namespace, name))


def _is_of(ref: Ref, kind: Kind, scope: str | None) -> bool:
    return ref.kind is kind and scope in (None, ref.namespace)


def _belongs_to_newer(known: Child | None, deleted: Child) -> bool:
    """Say whether a deleted object's name was taken by another one since."""
    if known is None or known.uid == deleted.uid:
        return False
    return not versions.is_newer(deleted.resource_version, known.resource_version)


class ChildSink:
    """Feeds one kind's reflector into the cache."""

    def __init__(self, children: Children, kind: Kind) -> None:
        self._children = children
        self._kind = kind

    def saw(self, live: Child) -> None:
        """Take an object that exists."""
        self._children.put(live)

    def gone(self, live: Child) -> None:
        """Take an object that was deleted."""
        self._children.remove(live)

    def listed(
        self, scope: str | None, *, found: Set[tuple[str, str]], version: str, went_back: bool
    ) -> None:
        """Sweep what a complete list did not show."""
        self._children.sweep(self._kind, scope, found=found, version=version, went_back=went_back)
