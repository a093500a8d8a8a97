"""A cluster in memory, just real enough to run the engine against: objects with owners and fields.

It carries out actions as the apiserver would, plays the Deployment controller and the garbage
collector on demand, and counts writes. It never judges; tests do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agentsystem_operator import engine
from agentsystem_operator.model import names, ownership, records
from agentsystem_operator.model.actions import (
    Action,
    Apply,
    Delete,
    HandOverReplicas,
    Scale,
    SetRecreate,
)
from agentsystem_operator.model.evaluation import Evaluation, Event, Reads
from agentsystem_operator.model.heard import Heard
from agentsystem_operator.model.observed import (
    Absent,
    Child,
    Looked,
    Observed,
    Remembered,
    ReplicasOwner,
    RevisionRecord,
    Rollout,
    Taken,
    Text,
    Unknown,
)
from agentsystem_operator.model.references import Kind, Ref, SystemKey
from agentsystem_operator.model.system import System

SETTINGS = engine.Settings(default_image="registry.example/agent-runtime:1")
START = datetime(2026, 1, 1, tzinfo=UTC)
KEY = SystemKey("shop", "support")


@dataclass
class Thing:
    """One object of the cluster."""

    child: Child
    body: Mapping[str, Any]


@dataclass
class World:
    """The cluster, one AgentSystem in it, and the operator's memory."""

    spec: Any
    key: SystemKey = KEY
    uid: str = "system-1"
    generation: int = 1
    deleting: bool = False
    status: Mapping[str, Any] = field(default_factory=dict)
    things: dict[Ref, Thing] = field(default_factory=dict)
    strangers: dict[Ref, str] = field(default_factory=dict)
    """Objects without our labels, with their controller."""
    unreadable: set[Ref] = field(default_factory=set)
    config_maps: dict[str, Text | Unknown] = field(default_factory=dict)
    cluster_keys: str | Unknown = '{"keys":[]}'
    now: datetime = START
    settings: engine.Settings = SETTINGS
    remembered: Remembered = field(default_factory=Remembered)
    writes: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    heard: Heard | None = None
    authority: str = ""
    reads: int = 0
    made: int = 0

    # -- what the shell does -------------------------------------------------

    def system(self) -> System:
        return System(self.key, self.uid, self.generation, self.deleting, self.spec, self.status)

    def evaluate(self) -> Evaluation:
        """Evaluate, reading whatever is asked for."""
        children = {ref: thing.child for ref, thing in self.things.items()}
        observed = Observed(children, heard=self.heard, authority=self.authority)
        for _ in range(4):
            answer = engine.evaluate(
                self.system(),
                observed,
                remembered=self.remembered,
                settings=self.settings,
                now=self.now,
            )
            if isinstance(answer, Evaluation):
                return answer
            observed = self._read(observed, answer)
        raise AssertionError("the engine never had enough")

    def _read(self, observed: Observed, wanted: Reads) -> Observed:
        self.reads += len(wanted.children) + len(wanted.config_maps)
        maps = {name: self.config_maps.get(name, Absent()) for name in wanted.config_maps}
        return replace(
            observed,
            lookups={**observed.lookups, **{ref: self._look(ref) for ref in wanted.children}},
            config_maps={**observed.config_maps, **maps},
            cluster_keys=self.cluster_keys if wanted.cluster_keys else observed.cluster_keys,
        )

    def _look(self, ref: Ref) -> Looked:
        if ref in self.unreadable:
            return Unknown("timeout")
        if ref in self.strangers:
            return Taken(self.strangers[ref])
        return self.things[ref].child if ref in self.things else Absent()

    def reconcile(self, *, stop_after: int | None = None) -> Evaluation:
        """One pass; with `stop_after` the operator dies after that many actions."""
        evaluation = self.evaluate()
        for action in evaluation.actions[:stop_after]:
            self.carry_out(action)
        if stop_after is not None:
            self.remembered = Remembered()
            return evaluation
        if evaluation.status is not None:
            self.status = copy.deepcopy(dict(evaluation.status))
            self.writes.append("status")
        self.remembered = evaluation.remembered
        for event in evaluation.events:
            if event not in self.events:
                self.events.append(event)
        return evaluation

    def settle(self, passes: int = 10) -> Evaluation:
        """Reconcile, with the controllers at work, until nothing is left to do."""
        for _ in range(passes):
            evaluation = self.reconcile()
            self.roll()
            if not evaluation.actions and self.evaluate().status is None:
                return evaluation
        raise AssertionError(f"still busy: {evaluation.actions}")

    # -- what the apiserver does ---------------------------------------------

    def carry_out(self, action: Action) -> None:
        match action:
            case Apply():
                self._apply(action)
            case HandOverReplicas(ref=ref, uid=uid):
                assert uid in (None, self.things[ref].child.uid)
                self._rollout(ref, replicas_owner=ReplicasOwner.SCALE)
                self.writes.append(f"hand over {ref.name}")
            case SetRecreate(ref=ref, uid=uid):
                assert uid == self.things[ref].child.uid
                self._rollout(ref, rolls=False)
                self.writes.append(f"set {ref.name} to Recreate")
            case Scale(ref=ref, uid=uid, replicas=replicas):
                assert uid == self.things[ref].child.uid
                live = self.rollout(ref)
                self._rollout(
                    ref,
                    wanted=replicas,
                    generation=live.generation + 1,
                    replicas_owner=ReplicasOwner.SCALE,
                )
                self.writes.append(f"scale {ref.name} to {replicas}")
            case Delete(ref=ref, uid=uid):
                assert uid == self.things.pop(ref).child.uid
                self.writes.append(f"delete {ref}")

    def _apply(self, action: Apply) -> None:
        ref, body = action.manifest.ref, action.manifest.body
        before = self.things.get(ref)
        assert ref not in self.strangers
        assert (before.child.uid if before else None) == action.uid
        self.made += 1
        child = Child(
            ref=ref,
            uid=before.child.uid if before else f"uid-{self.made}",
            resource_version=str(self.made),
            controller_uid=_controller(body),
            intent=body["metadata"]["annotations"][names.INTENT],
            ownership=ownership.of_manifest(ref.kind, body),
            system=_label(body, names.SYSTEM),
            agent=_label(body, names.AGENT),
            revision=_label(body, names.REVISION),
            rollout=_applied_rollout(body, before) if ref.kind is Kind.DEPLOYMENT else None,
            record=_record(body) if ref.kind is Kind.CONTROLLER_REVISION else None,
        )
        if before and ref.kind is Kind.CONTROLLER_REVISION:
            assert before.body["data"] == body["data"], "data of a ControllerRevision is immutable"
        self.things[ref] = Thing(child, body)
        self.writes.append(f"apply {ref}")

    # -- what the controllers do ---------------------------------------------

    def roll(self, *, available: bool = True) -> None:
        """Let every Deployment finish its rollout, or get stuck without available pods."""
        for ref, thing in list(self.things.items()):
            live = thing.child.rollout
            if live is None:
                continue
            self._replica_set(ref, thing.child, live)
            there = live.wanted if available else 0
            short = not available and live.wanted > 0
            self._rollout(
                ref,
                observed_generation=live.generation,
                replicas=live.wanted,
                updated=live.wanted,
                ready=there,
                available=there,
                unavailable_since=(live.unavailable_since or self.now) if short else None,
            )

    def _replica_set(self, ref: Ref, deployment: Child, live: Rollout) -> None:
        own = Ref(Kind.REPLICA_SET, ref.namespace, f"{ref.name}-{live.revision}")
        child = Child(
            own, f"rs-{own.name}", "1", deployment.uid, "", "", deployment.system,
            deployment.agent, live.revision,
        )  # fmt: skip
        self.things.setdefault(own, Thing(child, {}))

    def collect_garbage(self) -> None:
        """Remove what has lost its controller."""
        alive = {thing.child.uid for thing in self.things.values()} | {self.uid}
        for ref, thing in list(self.things.items()):
            controller = thing.child.controller_uid
            if controller is not None and controller not in alive:
                del self.things[ref]

    # -- what people do ------------------------------------------------------

    def edit(self, **changes: Any) -> None:
        """Change top-level fields of the spec."""
        self.spec = {**self.spec, **changes}
        self.generation += 1

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)

    def change(self, ref: Ref, **fields: Any) -> None:
        """Change the projection of a child, as another writer would."""
        thing = self.things[ref]
        self.things[ref] = Thing(replace(thing.child, **fields), thing.body)

    def _rollout(self, ref: Ref, **fields: Any) -> None:
        self.change(ref, rollout=replace(self.rollout(ref), **fields))

    pods = _rollout

    # -- what tests look at --------------------------------------------------

    def rollout(self, ref: Ref) -> Rollout:
        found = self.things[ref].child.rollout
        assert found is not None
        return found

    def deployment(self, agent: str) -> Ref:
        return names.deployment(self.key, agent)

    def body(self, ref: Ref) -> Mapping[str, Any]:
        return self.things[ref].body

    def condition(self, kind: str) -> tuple[str, str]:
        """Status and reason as reported."""
        (found,) = [c for c in self.status["conditions"] if c["type"] == kind]
        return found["status"], found["reason"]

    def message(self, kind: str) -> str:
        (found,) = [c for c in self.status["conditions"] if c["type"] == kind]
        return str(found["message"])

    def wrote(self, act: Callable[[], object]) -> list[str]:
        """Return the writes that happen during `act`."""
        before = len(self.writes)
        act()
        return self.writes[before:]

    def objects(self) -> dict[Ref, Mapping[str, Any]]:
        """Every object of ours but the ReplicaSets, as applied."""
        return {r: t.body for r, t in self.things.items() if r.kind is not Kind.REPLICA_SET}


def _controller(body: Mapping[str, Any]) -> str | None:
    owners = body["metadata"].get("ownerReferences", [])
    return next((str(owner["uid"]) for owner in owners if owner["controller"]), None)


def _label(body: Mapping[str, Any], label: str) -> str:
    return str(body["metadata"]["labels"].get(label, ""))


def _record(body: Mapping[str, Any]) -> RevisionRecord:
    pins = records.pins_of(body["data"])
    return RevisionRecord(_label(body, names.REVISION), body["revision"], pins)


def _applied_rollout(body: Mapping[str, Any], before: Thing | None) -> Rollout:
    revision = body["spec"]["template"]["metadata"]["labels"][names.REVISION]
    rolls = "rollingUpdate" in body["spec"]["strategy"]
    if before is None or before.child.rollout is None:
        return Rollout(
            generation=1,
            observed_generation=0,
            wanted=body["spec"]["replicas"],
            replicas=0,
            updated=0,
            ready=0,
            available=0,
            replicas_owner=ReplicasOwner.MAIN,
            revision=revision,
            deadline_exceeded=False,
            unavailable_since=None,
            rolls=rolls,
        )
    assert "replicas" not in body["spec"], "only a new Deployment states its replicas"
    live = before.child.rollout
    assert live.replicas_owner is not ReplicasOwner.MAIN, "the replicas would be reset to 1"
    assert rolls or not live.rolls, "refused: a rollingUpdate under the strategy Recreate"
    live = replace(live, rolls=rolls)
    if before.body["spec"]["template"] == body["spec"]["template"]:
        return live
    return replace(live, generation=live.generation + 1, revision=revision, updated=0)
