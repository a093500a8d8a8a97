"""One row per agent: as planned, or as found when nothing can be planned.

Imported by the engine.
"""

from collections.abc import Mapping

from agentsystem_operator.decide import rollout
from agentsystem_operator.model.observed import Child, Rollout
from agentsystem_operator.model.references import Ref
from agentsystem_operator.plan.wanted import AgentChildren, Wanted
from agentsystem_operator.status.report import Row


def planned(
    plan: Wanted, mine: Mapping[Ref, Child], *, claims: Mapping[str, Child], was_done: bool
) -> tuple[Row, ...]:
    """Return the declared agents, judged against the revision that each should have.

    `mine` are live children that the system controls; `claims` are its volumes by agent;
    `was_done` as in `rollout.stage`.
    """
    return tuple(_planned(agent, mine, claims=claims, was_done=was_done) for agent in plan.agents)


def _planned(
    agent: AgentChildren, mine: Mapping[Ref, Child], *, claims: Mapping[str, Child], was_done: bool
) -> Row:
    child = mine.get(agent.deployment.ref)
    live = child.rollout if child else None
    volume = claims.get(agent.workload.agent.name) if agent.claim else None
    return Row(
        name=agent.workload.agent.name,
        desired=agent.workload.replicas,
        live=live,
        revision=agent.revision,
        stage=rollout.stage(live, agent.revision, was_done=was_done),
        claim=agent.claim,
        node=volume.node if volume else "",
        held_back=agent.workload.held_back,
    )


def as_found(
    mine: Mapping[Ref, Child],
    *,
    declared: Mapping[str, int] | None,
    claims: Mapping[str, Child],
    was_done: bool,
) -> tuple[Row, ...]:
    """Return the agents judged against what they run, since what they should run is not known.

    `declared` maps agents to replicas; None, because the spec cannot be read, means those that
    have a Deployment. `claims` are volumes by agent.
    """
    running = {child.agent: child.rollout for child in mine.values() if child.rollout}
    names = sorted(running) if declared is None else declared
    return tuple(
        _as_found(
            name,
            running.get(name),
            desired=declared[name] if declared else 0,
            claim=claims.get(name),
            was_done=was_done,
        )
        for name in names
    )


def _as_found(
    name: str, live: Rollout | None, *, desired: int, claim: Child | None, was_done: bool
) -> Row:
    revision = live.revision if live else ""
    return Row(
        name=name,
        desired=live.wanted if live else desired,
        live=live,
        revision=revision,
        stage=rollout.stage(live, revision, was_done=was_done),
        claim=claim.ref.name if claim else None,
        node=claim.node if claim else "",
    )
