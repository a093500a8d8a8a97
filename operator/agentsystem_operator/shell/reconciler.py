"""One pass over one system: observe, evaluate, execute, report (level-triggered).

A pass is a function of what is stored, observed and remembered, never of the event that caused
it. It may be cut short at any point; the next one finishes the job.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from agentsystem_operator import ports
from agentsystem_operator.model import hashing, observed
from agentsystem_operator.model.evaluation import Evaluation, Reads
from agentsystem_operator.model.observed import Observed, Remembered
from agentsystem_operator.model.references import Ref, SystemKey
from agentsystem_operator.model.system import System
from agentsystem_operator.shell.announcer import Announcer
from agentsystem_operator.shell.children import Children
from agentsystem_operator.shell.contents import Contents
from agentsystem_operator.shell.ears import Ears
from agentsystem_operator.shell.executor import Executor, Outcome
from agentsystem_operator.shell.memory import SUSPECTS_MAX, Memory, Notes
from agentsystem_operator.shell.queue import Queue
from agentsystem_operator.shell.reader import Reader
from agentsystem_operator.shell.store import Store
from agentsystem_operator.status import events

READ_ROUNDS = 4
"""ConfigMaps, then children, and one more of each when a read changed the picture."""
ACTED_MAX = 10
"""Passes in a row that write; more is a fight with somebody, and goes on with backoff."""
LOOK_MIN_S = 0.25
"""A time that has passed already must not make a tight loop."""
HOLD_S = 5.0
"""After a pass that could not be judged."""

logger = logging.getLogger(__name__)


class Evaluate(Protocol):
    """The engine, with its settings filled in."""

    def __call__(
        self, system: System, observed: Observed, *, remembered: Remembered, now: datetime
    ) -> Reads | Evaluation:
        """Return what must be read first, or what to do and to report."""


class Result(StrEnum):
    """How a pass ended: a metric label."""

    SETTLED = "settled"
    """Nothing was to be done."""
    ACTED = "acted"
    """Something was written."""
    WAITING = "waiting"
    """It could not be judged now."""
    REFUSED = "refused"
    """The apiserver refused a write."""
    CONFLICT = "conflict"
    """Something was not what the caches said."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a reconciler works with."""

    cluster: ports.Cluster
    systems: ports.Systems
    clock: ports.Clock
    store: Store
    children: Children
    contents: Contents
    memory: Memory
    queue: Queue[SystemKey]
    evaluate: Evaluate
    acted: Callable[[str], None]
    ears: Ears | None = None
    """The channel; None without one."""


class Reconciler:
    """Brings one system at a time closer to what it declares."""

    def __init__(self, parts: Parts) -> None:
        self._ = parts
        self._reader = Reader(parts.cluster, parts.children, parts.contents, clock=parts.clock)
        self._executor = Executor(parts.cluster, parts.children, acted=parts.acted)
        self._announcer = Announcer(parts.cluster, clock=parts.clock)

    async def reconcile(self, key: SystemKey) -> Result:
        """Do one pass; an unreachable apiserver or a lost Lease is raised."""
        system, version = self._.store.get(key), self._.store.version(key)
        if system is None:
            self._forget(key)
            return Result.SETTLED
        notes = self._.memory.of(system)
        self._retry_refused(notes)
        evaluation = await self._judge(system, notes)
        if evaluation is None:
            self._.queue.schedule(key, HOLD_S)
            return Result.WAITING
        self._take(system, notes, evaluation)
        if evaluation.actions and not await self._is_current(system):
            self._.queue.failed(key)
            return Result.CONFLICT
        outcome = await self._executor.execute(system, evaluation.actions)
        self._remember(notes, outcome)
        if outcome.kept:
            told = events.told_of_kept(evaluation.events, outcome.kept)
            evaluation = replace(evaluation, events=told)
        result = self._result(key, notes, outcome)
        # After a refusal the next pass, right away, has the better words for it.
        if not outcome.refused and not await self._report(system, version, notes, evaluation):
            self._.queue.failed(key)
            result = Result.CONFLICT
        self._plan_next(key, notes, evaluation, result)
        return result

    def _forget(self, key: SystemKey) -> None:
        self._.memory.forget(key)
        self._.contents.refer(key, frozenset())
        self._.queue.forget(key)

    def _retry_refused(self, notes: Notes) -> None:
        if notes.remembered.refused and self._.clock.monotonic() >= notes.retry_at:
            notes.forget_refusals()

    async def _judge(self, system: System, notes: Notes) -> Evaluation | None:
        lookups: Mapping[Ref, observed.Looked] = {}
        if notes.suspects:
            lookups = await self._reader.look_up(notes.suspects, uid=system.uid)
            notes.suspects.clear()
        ears = self._.ears
        seen = Observed(
            children=self._.children.of(system.key),
            lookups=lookups,
            heard=ears.of(system.key) if ears else None,
            authority=ears.bundle() if ears else "",
        )
        for _ in range(READ_ROUNDS):
            verdict = self._.evaluate(
                system, seen, remembered=notes.remembered, now=self._.clock.now()
            )
            if isinstance(verdict, Evaluation):
                return verdict
            seen = await self._reader.add(seen, verdict, key=system.key, uid=system.uid)
        logger.error("not judged: the engine asks for ever more reads", extra=_fields(system))
        return None

    def _take(self, system: System, notes: Notes, evaluation: Evaluation) -> None:
        """Keep what the engine hands to the next pass, and say what it concluded anew."""
        notes.remembered = evaluation.remembered
        self._.contents.refer(system.key, evaluation.references)
        known = notes.conditions or _stored_conditions(system)
        for condition, (status, reason) in evaluation.conditions.items():
            if known.get(condition) != (status, reason):
                extra = {**_fields(system), "condition": condition, "status": status}
                logger.info("decision", extra={**extra, "reason": reason})
        self._.memory.judged(notes, evaluation.conditions)

    async def _is_current(self, system: System) -> bool:
        """Say whether the apiserver still shows the very object that was judged.

        A watch may lag, or show the past after a restart; nothing is written on such a basis.
        """
        found = await self._.cluster.identify(system.key)
        if isinstance(found, observed.Unknown):
            raise ports.ClusterUnreachable(found.why, retry_after_s=found.retry_after_s)
        if found == ports.Identity(system.uid, system.generation, system.deleting):
            return True
        logger.info("stale view of the system; reading it again", extra=_fields(system))
        await self.refresh(system.key, uid=system.uid)
        return False

    async def refresh(self, key: SystemKey, *, uid: str) -> None:
        """Read one AgentSystem as a whole into the store."""
        body = await self._.systems.fetch(key)
        if body is None:
            self._.store.remove(key, uid=uid)
        else:
            self._.store.put(body)

    def _remember(self, notes: Notes, outcome: Outcome) -> None:
        before = notes.remembered
        accepted = {**before.accepted_ownership, **outcome.accepted}
        notes.remembered = replace(
            before,
            # Old revisions' objects go, and what was said about them with them.
            accepted_ownership={
                ref: said for ref, said in accepted.items() if self._.children.get(ref)
            },
            refused={**before.refused, **outcome.refused},
        )

    def _result(self, key: SystemKey, notes: Notes, outcome: Outcome) -> Result:
        """Classify a pass; faults of the object are counted here."""
        if outcome.refused:
            notes.retry_at = self._.clock.monotonic() + self._.queue.failed(key)
            self._.queue.follow(key)
            return Result.REFUSED
        if outcome.failed is not None:
            if len(notes.suspects) < SUSPECTS_MAX:
                notes.suspects.add(outcome.failed)
            self._.queue.failed(key)
            return Result.CONFLICT
        if not outcome.done:
            notes.acted = 0
            return Result.SETTLED
        notes.acted += 1
        if notes.acted <= ACTED_MAX:
            self._.queue.soon(key)  # with what the cluster makes of it
        else:
            logger.warning("still writing after many passes; slowing down", extra={"key": str(key)})
            self._.queue.failed(key)
        return Result.ACTED

    async def _report(
        self, system: System, version: str, notes: Notes, evaluation: Evaluation
    ) -> bool:
        """Write status and Events; False when the system has changed under us."""
        if evaluation.status is not None and not await self._write_status(
            system, version, notes, evaluation.status
        ):
            return False
        await self._announcer.announce(system, notes, evaluation.events)
        return True

    async def _write_status(
        self, system: System, version: str, notes: Notes, status: Mapping[str, object]
    ) -> bool:
        digest = hashing.of(status)
        if (notes.status_hash, notes.status_version) == (digest, version):
            # Stored differently (pruned, defaulted), a status would look outdated for ever;
            # writing it again would change nothing and wake us again.
            return True
        try:
            new = await self._.cluster.write_status(system.key, version=version, status=status)
        except (ports.ConflictLost, ports.Gone):
            await self.refresh(system.key, uid=system.uid)
            return False
        notes.status_hash, notes.status_version = digest, new
        self._.store.status_written(system.key, uid=system.uid, status=status, version=new)
        return True

    def _plan_next(
        self, key: SystemKey, notes: Notes, evaluation: Evaluation, result: Result
    ) -> None:
        if result is Result.CONFLICT or notes.acted > ACTED_MAX:
            return  # the backoff is scheduled
        delays = []
        if evaluation.look_again is not None:
            delays.append((evaluation.look_again - self._.clock.now()).total_seconds())
        if notes.remembered.refused:
            delays.append(notes.retry_at - self._.clock.monotonic())
        elif result is Result.SETTLED:
            self._.queue.succeeded(key)
        self._.queue.schedule(key, max(min(delays), LOOK_MIN_S) if delays else None)


def _stored_conditions(system: System) -> Mapping[str, tuple[str, str]]:
    """Return the conditions that the status shows: after a restart only changes are news."""
    conditions = system.status.get("conditions", [])
    return {item["type"]: (item["status"], item["reason"]) for item in conditions}


def _fields(system: System) -> dict[str, object]:
    return {
        "system": system.key.name,
        "namespace": system.key.namespace,
        "uid": system.uid,
        "generation": system.generation,
    }
