"""Children that nothing wants any more, and their removal.

Imported by the engine. Only objects that this AgentSystem controls are ever deleted, by uid; a
claim never, since it holds what people said; a ReplicaSet never, since it is the Deployment's.
"""

from collections.abc import Collection, Iterable, Mapping

from agentsystem_operator.model.actions import Delete, Why
from agentsystem_operator.model.observed import Child
from agentsystem_operator.model.references import Kind, Ref

KEPT_REVISIONS = 10
"""ControllerRevisions kept, the current one among them: as many as a person would go back."""

# Pods first; the policy that fences them in goes when nothing else of the agent needs it.
_ORDER = (
    Kind.DEPLOYMENT,
    Kind.POD_DISRUPTION_BUDGET,
    Kind.SERVICE,
    Kind.CONFIG_MAP,
    Kind.SERVICE_ACCOUNT,
    Kind.NETWORK_POLICY,
    Kind.CONTROLLER_REVISION,
)


def removals(
    children: Mapping[Ref, Child],
    wanted: Collection[Ref],
    *,
    owner_uid: str,
    settled_agents: Collection[str],
) -> tuple[Delete, ...]:
    """Return the deletions that are due.

    `settled_agents` have finished their rollout: only then it is certain which ReplicaSets, and so
    which ConfigMaps, are in use.
    """
    mine = [child for child in children.values() if child.controller_uid == owner_uid]
    unwanted = [child for child in mine if child.ref not in wanted]
    kept = _configs_in_use(children.values(), unwanted, settled_agents)
    kept |= _recent_records(mine, wanted)
    due = (c for c in unwanted if c.ref.kind in _ORDER and c.ref not in kept and not c.deleting)
    ordered = sorted(due, key=lambda child: (_ORDER.index(child.ref.kind), child.ref))
    return tuple(Delete(child.ref, child.uid, Why.NOT_WANTED) for child in ordered)


def _configs_in_use(
    children: Iterable[Child], unwanted: Iterable[Child], settled_agents: Collection[str]
) -> set[Ref]:
    """Return the ConfigMaps that some ReplicaSet uses, or might: those of unsettled agents."""
    pods_of = [c for c in children if c.ref.kind in (Kind.REPLICA_SET, Kind.DEPLOYMENT)]
    in_use = {(child.agent, child.revision) for child in pods_of}
    moving = {child.agent for child in pods_of if child.agent not in settled_agents}
    return {
        child.ref
        for child in unwanted
        if child.ref.kind is Kind.CONFIG_MAP
        and ((child.agent, child.revision) in in_use or child.agent in moving)
    }


def _recent_records(mine: Iterable[Child], wanted: Collection[Ref]) -> set[Ref]:
    records = [child for child in mine if child.record and child.ref not in wanted]
    records.sort(key=lambda child: child.record.number if child.record else 0, reverse=True)
    return {child.ref for child in records[: KEPT_REVISIONS - 1]}
