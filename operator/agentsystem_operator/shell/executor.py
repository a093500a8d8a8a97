"""Performs the writes of one pass in their order, and teaches the caches their answers.

A failing write ends the pass: a later one may rely on it. What was written before stays, and the
next pass goes on from there.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from agentsystem_operator import ports
from agentsystem_operator.model.actions import (
    Action,
    Apply,
    Delete,
    HandOverReplicas,
    Scale,
    SetRecreate,
    attempt,
)
from agentsystem_operator.model.observed import ReplicasOwner
from agentsystem_operator.model.references import Ref
from agentsystem_operator.model.system import System
from agentsystem_operator.shell.children import Children

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """What became of the writes of one pass."""

    done: int = 0
    accepted: dict[Ref, tuple[str, str]] = field(default_factory=dict)
    """(intent, ownership) that the apiserver recorded differently from what was computed."""
    refused: dict[Ref, tuple[str, str]] = field(default_factory=dict)
    """(`actions.attempt`, message) of the write that was refused."""
    kept: str = ""
    """What is to be said of a deletion that was refused."""
    failed: Ref | None = None
    """The object whose write was refused, or that was not what we took it for."""


class Executor:
    """Writes."""

    def __init__(
        self, cluster: ports.Cluster, children: Children, *, acted: Callable[[str], None]
    ) -> None:
        self._cluster = cluster
        self._children = children
        self._acted = acted

    async def execute(self, system: System, actions: Sequence[Action]) -> Outcome:
        """Perform the writes until one fails; an unreachable apiserver is raised."""
        outcome = Outcome()
        for action in actions:
            ref = _ref(action)
            try:
                await self._perform(action, outcome)
            except ports.Refused as exc:
                outcome.failed = ref
                if isinstance(action, Delete):
                    outcome.kept = f"{ref} was not deleted: {exc}"
                else:
                    outcome.refused[ref] = (attempt(action), str(exc))
                self._log(system, action, logging.WARNING, "refused", error=str(exc))
                return outcome
            except (ports.ConflictLost, ports.Gone) as exc:
                outcome.failed = ref
                self._log(system, action, logging.INFO, "not done", error=str(exc))
                return outcome
            outcome.done += 1
            self._acted(type(action).__name__)
            self._log(system, action, logging.INFO, "done")
        return outcome

    async def _perform(self, action: Action, outcome: Outcome) -> None:
        match action:
            case Apply(manifest=manifest, uid=uid):
                child = await self._cluster.apply(manifest, uid=uid)
                if child.ownership != manifest.ownership:
                    outcome.accepted[manifest.ref] = (manifest.intent, child.ownership)
                self._children.put(child)
            case HandOverReplicas(ref=ref, uid=uid):
                known = self._children.get(ref)
                target = uid or (known.uid if known else "")
                if not target:
                    raise ports.Gone(f"{ref} is not known")
                self._children.put(await self._cluster.hand_over_replicas(ref, uid=target))
            case SetRecreate(ref=ref, uid=uid):
                self._children.put(await self._cluster.set_recreate(ref, uid=uid))
            case Scale(ref=ref, uid=uid, replicas=replicas):
                version = await self._cluster.scale(ref, uid=uid, replicas=replicas)
                self._scaled(ref, replicas=replicas, version=version)
            case Delete(ref=ref, uid=uid):
                await self._cluster.delete(ref, uid=uid)
                self._children.mark_deleting(ref, uid=uid)
            case other:
                assert_never(other)

    def _scaled(self, ref: Ref, *, replicas: int, version: str) -> None:
        known = self._children.get(ref)
        if known is None or known.rollout is None:
            return
        moved = version != known.resource_version
        rollout = replace(
            known.rollout,
            wanted=replicas,
            replicas_owner=ReplicasOwner.SCALE,
            generation=known.rollout.generation + (1 if moved else 0),
        )
        self._children.put(replace(known, rollout=rollout, resource_version=version))

    def _log(
        self, system: System, action: Action, level: int, result: str, *, error: str = ""
    ) -> None:
        ref = _ref(action)
        fields = {
            "system": system.key.name,
            "namespace": system.key.namespace,
            "uid": system.uid,
            "generation": system.generation,
            "reason": str(getattr(action, "reason", "")),
            "kind": ref.kind.value,
            "object": ref.name,
        }
        if error:
            fields["error"] = error
        logger.log(level, "%s %s", type(action).__name__, result, extra=fields)


def _ref(action: Action) -> Ref:
    return action.manifest.ref if isinstance(action, Apply) else action.ref
