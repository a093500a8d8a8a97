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
    which ConfigMaps, are in use. Of the others those of the kept revisions stay: a system that is
    edited all the time never settles, and must not fill its namespace.
    """
    mine = [child for child in children.values() if child.controller_uid == owner_uid]
    unwanted = [child for child in mine if child.ref not in wanted]
    records = _recent_records(unwanted)
    kept = {child.ref for child in records}
    kept |= _configs_in_use(children.values(), unwanted, settled_agents, _agents_of(records))
    due = (c for c in unwanted if c.ref.kind in _ORDER and c.ref not in kept and not c.deleting)
    ordered = sorted(due, key=lambda child: (_ORDER.index(child.ref.kind), child.ref))
    return tuple(Delete(child.ref, child.uid, Why.NOT_WANTED) for child in ordered)


def _configs_in_use(
    children: Iterable[Child],
    unwanted: Iterable[Child],
    settled_agents: Collection[str],
    recent: Collection[tuple[str, str]],
) -> set[Ref]:
    """Return the ConfigMaps that ReplicaSets use, or might: recent ones of unsettled agents."""
    pods_of = [c for c in children if c.ref.kind in (Kind.REPLICA_SET, Kind.DEPLOYMENT)]
    in_use = {(child.agent, child.revision) for child in pods_of}
    moving = {child.agent for child in pods_of if child.agent not in settled_agents}
    in_use |= {(agent, revision) for agent, revision in recent if agent in moving}
    return {
        child.ref
        for child in unwanted
        if child.ref.kind is Kind.CONFIG_MAP and (child.agent, child.revision) in in_use
    }


def _recent_records(unwanted: Iterable[Child]) -> list[Child]:
    """Return the earlier ControllerRevisions that are kept."""
    records = [child for child in unwanted if child.record]
    records.sort(key=lambda child: child.record.number if child.record else 0, reverse=True)
    return records[: KEPT_REVISIONS - 1]


def _agents_of(records: Iterable[Child]) -> set[tuple[str, str]]:
    """Return each agent and revision of some ControllerRevisions."""
    return {
        (agent, pin.revision)
        for child in records
        if child.record
        for agent, pin in child.record.pins.items()
    }
