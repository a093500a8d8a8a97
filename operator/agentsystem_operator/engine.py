"""One pass: what is declared and observed goes in, what is to be written and reported comes out.

The only module that knows all stages, in their order: parse, resolve references, give each agent
its workload, build what is wanted, compare, report. Pure: no clock, no client, no log; the same
input gives the same output, and nothing that a user can write makes it raise.
"""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import assert_never

from agentsystem_operator.api import resource, tiers
from agentsystem_operator.api.reasons import Reason
from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.api.tiers import TierDefaults
from agentsystem_operator.api.types import Tier
from agentsystem_operator.decide import images, providers, references, workloads
from agentsystem_operator.decide.pins import Defaults
from agentsystem_operator.decide.providers import Outlook
from agentsystem_operator.decide.references import Fault
from agentsystem_operator.decide.rollout import Stage
from agentsystem_operator.decide.workloads import Owner
from agentsystem_operator.model import names
from agentsystem_operator.model.actions import Action
from agentsystem_operator.model.evaluation import Evaluation, Reads
from agentsystem_operator.model.observed import (
    Child,
    Observed,
    Remembered,
    RevisionRecord,
    Unknown,
)
from agentsystem_operator.model.references import Kind, Ref
from agentsystem_operator.model.system import System
from agentsystem_operator.plan import (
    bounds,
    diff,
    leftovers,
    standing,
    templates,
    wanted,
)
from agentsystem_operator.plan.channel import Channel, Place
from agentsystem_operator.plan.templates import Template
from agentsystem_operator.plan.wanted import Wanted
from agentsystem_operator.status import body, conditions, events, rows
from agentsystem_operator.status.report import Report, Row

RETRY_READ = timedelta(seconds=5)
"""After a failed read, or while a child is on its way out: most such things pass in seconds."""
DOUBT_IS_NEWS = timedelta(seconds=30)
"""Failed reads mostly pass in seconds; a status that is held back for longer would be a lie."""
RENEW_KEYS = timedelta(hours=1)
"""A cluster publishes a new key before it signs with it, and hardly ever has one."""
RETRY_NAME = timedelta(seconds=30)
"""While a name is taken: somebody has to act, and no watch tells of objects without our labels."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator was started with."""

    default_image: str
    templates: Mapping[int, Template] = field(default_factory=lambda: templates.VERSIONS)
    """Every version that can be rendered; agents that change get the newest."""
    tiers: Mapping[Tier, TierDefaults] = field(default_factory=lambda: tiers.TABLE)
    allowed_images: tuple[str, ...] = ()
    """Patterns of the images that a spec may name; none means all."""
    channel: Place | None = None
    """Where pods find the operator; None when it has no channel."""

    @property
    def allowed(self) -> images.Allowed:
        """The images that a spec may name."""
        return images.Allowed(self.allowed_images, self.default_image)

    @property
    def defaults(self) -> Defaults:
        """What an agent is given that is not pinned to something else."""
        newest = max(self.templates)
        older = frozenset(self.templates) - {newest}
        return Defaults(newest, self.default_image, self.tiers, older)


def evaluate(
    system: System,
    observed: Observed,
    *,
    remembered: Remembered,
    settings: Settings,
    now: datetime,
) -> Reads | Evaluation:
    """Return what must be read first, or the writes, status and Events of this pass."""
    if system.deleting:
        # The garbage collector removes the children; whatever is written now would be in its way.
        return Evaluation((), None, (), None, remembered, frozenset())
    this = _Pass(system, observed, remembered, settings, now)
    parsed = resource.parse(_as_resource(system), stored=True)
    if isinstance(parsed, resource.Invalid):
        faults = [Fault(Reason.SPEC_INVALID, p.path, p.message) for p in parsed.problems]
        return this.kept_as_found(None, faults=tuple(faults))
    spec = parsed.spec
    if not_allowed := images.faults(spec, settings.allowed):
        return this.kept_as_found(spec, faults=not_allowed)
    match references.resolve(spec, observed.config_maps):
        case references.Unread(names=config_maps):
            return Reads(config_maps=config_maps)
        case references.Doubtful(names=config_maps):
            return this.kept_as_found(spec, doubt=_named(config_maps))
        case references.Broken(faults=broken):
            return this.kept_as_found(spec, faults=broken)
        case references.Resolved(texts=texts):
            return this.carried_out(spec, texts)
        case other:
            assert_never(other)


_NAMED_AT_MOST = 5


def _named(names: Iterable[str]) -> str:
    return ", ".join(itertools.islice(names, _NAMED_AT_MOST))


def _as_resource(system: System) -> dict[str, object]:
    return {
        "apiVersion": resource.API_VERSION,
        "kind": resource.KIND,
        "metadata": {"name": system.key.name, "namespace": system.key.namespace},
        "spec": system.spec,
    }


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a pass found, before it is put into words."""

    report: Report
    references: frozenset[str]
    actions: tuple[Action, ...] = ()
    look_again: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Pass:
    system: System
    observed: Observed
    remembered: Remembered
    settings: Settings
    now: datetime

    @property
    def owner(self) -> Owner:
        return Owner(self.system.key, self.system.uid)

    def carried_out(self, spec: AgentSystemSpec, texts: references.Texts) -> Reads | Evaluation:
        """Plan everything that a valid spec with found references asks for."""
        if _needs_cluster_keys(spec) and not isinstance(self.observed.cluster_keys, str):
            return self._without_cluster_keys(spec)
        plan = self._plan(spec, texts)
        if too_large := bounds.faults(plan):
            return self.kept_as_found(spec, faults=too_large)
        if spec.paused:
            return self._planned(spec, plan)
        free = plan.named_by_content if self._is_next(plan) else frozenset()
        match standing.survey(plan.manifests(), self.observed, self.owner, free=free):
            case standing.Unseen(refs=refs):
                return Reads(children=refs)
            case standing.Occupied(faults=faults, passing=passing):
                later = self.now + (RETRY_READ if passing else RETRY_NAME)
                return self._planned(spec, plan, faults=faults, look_again=later)
            case standing.Clear(known=known):
                return self._changed(spec, plan, known)
            case other:
                assert_never(other)

    def _is_next(self, plan: Wanted) -> bool:
        """Say whether a system that stands comes to a revision that was never reported (ADR 2)."""
        return self._reported("desired") not in ("", plan.revision)

    def _without_cluster_keys(self, spec: AgentSystemSpec) -> Reads | Evaluation:
        if isinstance(keys := self.observed.cluster_keys, Unknown):
            return self.kept_as_found(spec, doubt=f"the keys of the cluster's tokens ({keys.why})")
        return Reads(cluster_keys=True)

    def _plan(self, spec: AgentSystemSpec, texts: references.Texts) -> Wanted:
        records = self._records()
        newest = wanted.newest(records)
        agents = workloads.of_system(
            spec,
            texts,
            owner=self.owner,
            pinned=newest.pins if newest else {},
            defaults=self.settings.defaults,
        )
        place = self.settings.channel
        return wanted.of_system(
            self.owner,
            agents,
            records=records,
            templates=self.settings.templates,
            channel=Channel(place, self.observed.authority) if place else None,
            cluster_keys=self._cluster_keys(spec),
        )

    def _cluster_keys(self, spec: AgentSystemSpec) -> str | None:
        keys = self.observed.cluster_keys
        return keys if _needs_cluster_keys(spec) and isinstance(keys, str) else None

    def _records(self) -> Sequence[RevisionRecord]:
        return [child.record for child in self._mine().values() if child.record]

    def _mine(self) -> Mapping[Ref, Child]:
        """Return the live children that this system controls; a fresh look-up beats the cache."""
        seen = {**self.observed.children, **self.observed.lookups}
        return {
            ref: child
            for ref, child in seen.items()
            if isinstance(child, Child) and child.controller_uid == self.system.uid
        }

    def _changed(self, spec: AgentSystemSpec, plan: Wanted, known: standing.Known) -> Evaluation:
        """Plan the writes that are left."""
        gap = diff.between(plan, known, self.remembered)
        paths = {manifest.ref: path for manifest, path in plan.manifests()}
        faults = tuple(
            Fault(Reason.APPLY_REFUSED, paths[ref], f"{ref} was refused: {message}")
            for ref, message in gap.refused.items()
        )
        removals: tuple[Action, ...] = ()
        if not gap.waiting and not gap.refused:
            # The new side stands, or is written by the actions before; now the old side may go.
            removals = leftovers.removals(
                self.observed.children,
                # While the authority is not known, what pods have of it stays (I2).
                paths.keys() | {names.authority(self.system.key)},
                owner_uid=self.system.uid,
                settled_agents={row.name for row in self._rows(plan) if row.stage is Stage.DONE},
            )
        return self._planned(
            spec,
            plan,
            faults=faults,
            doubt=_named(str(ref) for ref in gap.unreadable),
            actions=(*gap.actions, *removals),
            look_again=self.now + RETRY_READ if gap.waiting else None,
        )

    def _planned(
        self,
        spec: AgentSystemSpec,
        plan: Wanted,
        *,
        faults: tuple[Fault, ...] = (),
        doubt: str = "",
        actions: tuple[Action, ...] = (),
        look_again: datetime | None = None,
    ) -> Evaluation:
        """Report on a system whose wanted state is known."""
        agents = self._rows(plan)
        reached = all(row.stage is Stage.DONE for row in agents)
        report = Report(
            generation=self.system.generation,
            paused=spec.paused,
            rows=agents,
            faults=faults,
            doubt=doubt,
            desired=plan.revision,
            active=plan.revision if reached else self._reported("active"),
            now=self.now,
            outlook=self._outlook(spec),
        )
        wanted_refs = {manifest.ref for manifest, _ in plan.manifests()}
        return self._told(
            _Outcome(report, references.names(spec), actions, look_again),
            remembered=_only(self.remembered, wanted_refs),
        )

    def kept_as_found(
        self,
        spec: AgentSystemSpec | None,
        *,
        faults: tuple[Fault, ...] = (),
        doubt: str = "",
    ) -> Evaluation:
        """Report on a system that cannot be planned: whatever runs stays exactly as it is."""
        report = Report(
            generation=self.system.generation,
            paused=spec is not None and spec.paused,
            rows=self._rows_as_found(spec),
            faults=faults,
            doubt=doubt,
            desired=self._reported("desired"),
            active=self._reported("active"),
            now=self.now,
            outlook=self._outlook(spec),
        )
        used = references.names(spec) if spec else frozenset()
        later = self.now + RETRY_READ if doubt else None
        return self._told(_Outcome(report, used, (), later), remembered=self.remembered)

    def _told(self, outcome: _Outcome, *, remembered: Remembered) -> Evaluation:
        """Put the outcome into conditions, status and Events."""
        report, previous = outcome.report, self.system.status
        verdicts = conditions.all_of(report)
        status = body.compose(report, verdicts, previous)
        doubt_since = (remembered.doubt_since or self.now) if report.doubt else None
        outlook = report.outlook
        past = replace(
            remembered, doubt_since=doubt_since, unrest=outlook.unrest if outlook else {}
        )
        writing = body.weigh(status, previous, report=report, past=past)
        known = previous.get("observedGeneration") == report.generation
        if known and doubt_since and self.now - doubt_since < DOUBT_IS_NEWS:
            # One failed read is no news; the Event tells of it.
            writing = replace(writing, status=None)
        times = [outcome.look_again, writing.look_again, _degraded_at(report), self._keys_at()]
        times.append(outlook.look_again if outlook else None)
        return Evaluation(
            actions=outcome.actions,
            status=writing.status,
            events=(
                *events.of_pass(
                    verdicts, outcome.actions, stood=self._reported("active") == report.desired
                ),
                *events.of_relief(report, previous),
            ),
            look_again=min((time for time in times if time), default=None),
            remembered=writing.remembered,
            references=outcome.references,
            conditions={k.value: (v.status.value, v.reason.value) for k, v in verdicts.items()},
        )

    def _keys_at(self) -> datetime | None:
        """Return when to look whether the cluster signs with other keys; no watch tells of that."""
        return self.now + RENEW_KEYS if isinstance(self.observed.cluster_keys, str) else None

    def _outlook(self, spec: AgentSystemSpec | None) -> Outlook | None:
        """Return how the providers are, None without a channel."""
        heard, reported = self.observed.heard, self.system.status
        if heard is None:
            return None
        if spec is None:
            return providers.as_reported(reported)
        return providers.of_system(
            spec, heard, reported=reported, unrest=self.remembered.unrest, now=self.now
        )

    def _rows(self, plan: Wanted) -> tuple[Row, ...]:
        was_done = self._reported("active") == plan.revision
        return rows.planned(plan, self._mine(), claims=self._claims(), was_done=was_done)

    def _rows_as_found(self, spec: AgentSystemSpec | None) -> tuple[Row, ...]:
        return rows.as_found(
            self._mine(),
            declared=None if spec is None else _declared_replicas(spec, self.settings),
            claims=self._claims(),
            was_done=self._reported("active") == self._reported("desired"),
        )

    def _claims(self) -> Mapping[str, Child]:
        """Return the volumes by agent; they have no owner."""
        found = self.observed.children.values()
        return {child.agent: child for child in found if child.ref.kind is _CLAIM}

    def _reported(self, revision: str) -> str:
        return body.revision(self.system.status, revision)


_CLAIM = Kind.PERSISTENT_VOLUME_CLAIM


def _needs_cluster_keys(spec: AgentSystemSpec) -> bool:
    return spec.auth is not None and len(spec.agents) > 1


def _declared_replicas(spec: AgentSystemSpec, settings: Settings) -> Mapping[str, int]:
    defaults = settings.tiers[spec.tier]
    return {agent.name: spec.replicas(agent, defaults) for agent in spec.agents}


def _degraded_at(report: Report) -> datetime | None:
    """Return when the next agent that lacks pods will have lacked them for too long."""
    times = (row.short_since + conditions.DEGRADED_AFTER for row in report.rows if row.short_since)
    return min((time for time in times if time > report.now), default=None)


def _only(remembered: Remembered, refs: Collection[Ref]) -> Remembered:
    """Return the memory without children that are not wanted any more."""
    return replace(
        remembered,
        accepted_ownership={
            ref: seen for ref, seen in remembered.accepted_ownership.items() if ref in refs
        },
        refused={ref: said for ref, said in remembered.refused.items() if ref in refs},
    )
