"""Wanted against observed: the writes that are left to do, in their order.

Imported by the engine. Two passes over one world give the same actions; once they are done, the
next pass gives none (I4). Whatever was done already is not done again, so a crash after any single
write leaves a world from which the next pass goes on (I5).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

from agentsystem_operator.decide import replicas
from agentsystem_operator.model import ownership, rivals
from agentsystem_operator.model.actions import (
    Action,
    Apply,
    HandOverReplicas,
    Manifest,
    Scale,
    SetRecreate,
    Why,
    attempt,
)
from agentsystem_operator.model.observed import Absent, Child, Remembered, Unknown
from agentsystem_operator.model.references import Kind, Ref
from agentsystem_operator.plan import metadata
from agentsystem_operator.plan.standing import Known
from agentsystem_operator.plan.wanted import AgentChildren, Wanted


@dataclass(frozen=True, slots=True)
class Gap:
    """What is left to be written, and what has to wait."""

    actions: tuple[Action, ...]
    waiting: tuple[Ref, ...]
    """Children that are left alone this time: unreadable, or on their way out."""
    unreadable: tuple[Ref, ...]
    """Those of them that could not be read."""
    refused: Mapping[Ref, str]
    """Children of which the apiserver refused this very write, with what it said."""


def between(wanted: Wanted, known: Known, remembered: Remembered) -> Gap:
    """Return the writes that make `known` into `wanted`, except for what must wait."""
    waiting = tuple(ref for ref, found in known.items() if _is_unsettled(found))
    refused = {
        ref: remembered.refused[ref][1]
        for ref, attempts in _attempts(wanted, known).items()
        if ref in remembered.refused and remembered.refused[ref][0] in attempts
    }
    view = _View(known, remembered, blocked=frozenset(waiting) | refused.keys())
    return Gap(
        actions=tuple(view.actions(wanted)),
        waiting=waiting,
        unreadable=tuple(ref for ref in waiting if isinstance(known[ref], Unknown)),
        refused=refused,
    )


def _attempts(wanted: Wanted, known: Known) -> Mapping[Ref, set[str]]:
    """Return every write that each child may need now, as it would be remembered when refused."""
    attempts = {manifest.ref: {manifest.intent} for manifest, _ in wanted.manifests()}
    for agent in wanted.agents:
        ref = agent.deployment.ref
        found = known[ref]
        if isinstance(found, Child):
            before, after = _replicas(found, agent.workload.replicas)
            strategy = _strategy(found, agent.deployment)
            attempts[ref] |= {attempt(action) for action in (*before, *strategy, *after)}
    return attempts


def _is_unsettled(found: Child | Absent | Unknown) -> bool:
    return isinstance(found, Unknown) or (isinstance(found, Child) and found.deleting)


@dataclass(frozen=True, slots=True)
class _View:
    known: Known
    remembered: Remembered
    blocked: frozenset[Ref]

    def actions(self, wanted: Wanted) -> Iterator[Action]:
        if wanted.authority is not None:
            yield from self._applied(wanted.authority)
        if wanted.cluster_keys is not None:
            yield from self._applied(wanted.cluster_keys)
        for agent in wanted.agents:
            for manifest in agent.before:
                yield from self._applied(manifest)
        yield from self._applied(wanted.record)
        for agent in wanted.agents:
            yield from self._deployed(agent, wanted.record.ref)
        yield from self._applied(wanted.entry_service)

    def _applied(self, manifest: Manifest) -> Iterator[Apply]:
        found = self.known[manifest.ref]
        if manifest.ref in self.blocked:
            return
        if isinstance(found, Absent):
            yield Apply(manifest, None, Why.MISSING)
        elif isinstance(found, Child) and (why := self._outdated(manifest, found)):
            yield Apply(manifest, found.uid, why, _changed_by(manifest, found, why))

    def _outdated(self, manifest: Manifest, live: Child) -> Why | None:
        """Return why a live child has to be applied again, None when it is as intended."""
        if manifest.ref.kind is Kind.PERSISTENT_VOLUME_CLAIM:
            return None  # data: adopted as it is
        if not live.intent:
            return Why.TAMPERED
        if live.intent != manifest.intent:
            # An old manifest that somebody applied brings its old intent along.
            return Why.TAMPERED if rivals.of(live.claims, rivals.INTENT) else Why.CHANGED
        accepted = self.remembered.accepted_ownership.get(manifest.ref)
        if live.ownership == manifest.ownership or accepted == (live.intent, live.ownership):
            return None
        return Why.TAMPERED

    def _deployed(self, agent: AgentChildren, record: Ref) -> Iterator[Action]:
        """Yield the writes of one Deployment, its replicas among them.

        Its pods would hang without what they mount, and a rollout without its record could not be
        told from the one before: so it waits for those.
        """
        ref = agent.deployment.ref
        found = self.known[ref]
        relies_on = {record, *(manifest.ref for manifest in agent.before)}
        applied = () if relies_on & self.blocked else tuple(self._applied(agent.deployment))
        if isinstance(found, Absent):
            for apply in applied:
                born = metadata.born_with(apply.manifest, agent.workload.replicas)
                yield Apply(born, None, apply.reason)
                yield HandOverReplicas(ref, None)
        elif isinstance(found, Child) and ref not in self.blocked:
            # One of these writes refused holds the others: each is safe only after the one before.
            before, after = _replicas(found, agent.workload.replicas)
            strategy = _strategy(found, agent.deployment) if applied else ()
            yield from (*before, *strategy, *applied, *after)


def _changed_by(manifest: Manifest, live: Child, why: Why) -> tuple[str, ...]:
    if why is not Why.TAMPERED:
        return ()
    stated = ownership.owned_fields(manifest.ref.kind, manifest.body)
    return rivals.of(live.claims, stated)


def _strategy(live: Child, wanted: Manifest) -> tuple[SetRecreate, ...]:
    """Return what is to be done about the strategy before the Deployment is applied."""
    recreates = wanted.body["spec"]["strategy"]["type"] == "Recreate"
    rolls = live.rollout is not None and live.rollout.rolls
    return (SetRecreate(live.ref, live.uid),) if recreates and rolls else ()


_Replicas = tuple[HandOverReplicas | Scale, ...]


def _replicas(live: Child, wanted: int) -> tuple[_Replicas, _Replicas]:
    """Return what is to be done about replicas before and after the Deployment is applied."""
    if live.rollout is None:
        return (), ()
    match replicas.decide(live.rollout, wanted):
        case replicas.HandOver():
            return (HandOverReplicas(live.ref, live.uid),), ()
        case replicas.SetTo(replicas=number, why=why, lowers=lowers):
            by = rivals.of(live.claims, rivals.REPLICAS)
            scale = Scale(live.ref, live.uid, number, why, live.rollout.wanted, by)
            return ((scale,), ()) if lowers else ((), (scale,))
        case replicas.Keep():
            return (), ()
        case other:
            assert_never(other)
