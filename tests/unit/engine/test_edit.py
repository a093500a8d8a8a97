"""An edit reaches exactly the agents that it concerns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from agentsystem_operator.model.observed import Text
from agentsystem_operator.model.references import Kind
from tests import builders
from tests.unit.engine import systems
from tests.unit.engine.world import World

FRONT, RESEARCH, WRITER = systems.TEAM
CANNED = {"name": "canned", "type": "Scripted"}
OTHER = {"name": "other", "type": "Scripted"}


@dataclass(frozen=True)
class Case:
    id: str
    edit: dict[str, Any]
    rolled: set[str]


CASES = (
    Case(
        "instructions of one",
        {"agents": [FRONT, builders.agent("research", instructions="Be brief."), WRITER]},
        {"research"},
    ),
    Case(
        "env of one",
        {"agents": [FRONT, builders.agent("research", env=[{"name": "A", "value": "1"}]), WRITER]},
        {"research"},
    ),
    Case(
        "env of all",
        {"runtime": {"env": [{"name": "A", "value": "1"}]}},
        {"front", "research", "writer"},
    ),
    Case("a sibling more", {"agents": [*systems.TEAM, builders.agent("critic")]}, {"front"}),
    Case("a sibling less", {"agents": systems.TEAM[:2]}, {"front"}),
    Case("another order", {"agents": [FRONT, WRITER, RESEARCH]}, set()),
    Case("another entry", {"workflow": {"entry": "writer"}}, {"front", "writer"}),
    Case("a provider that no route uses", {"providers": [CANNED, OTHER]}, set()),
    Case(
        "a route that no agent uses",
        {
            "providers": [CANNED, OTHER],
            "routes": [
                {"name": "chat", "chain": [{"provider": "canned"}]},
                {"name": "aside", "chain": [{"provider": "other"}]},
            ],
        },
        set(),
    ),
    Case(
        "a fallback for all",
        {
            "providers": [CANNED, OTHER],
            "routes": [{"name": "chat", "chain": [{"provider": "canned"}, {"provider": "other"}]}],
        },
        {"front", "research", "writer"},
    ),
    Case(
        "what may be reached",
        {"network": {"egress": [{"ports": [{"port": 5432}]}]}},
        set(),
    ),
    Case("replicas", {"agents": [builders.agent("front", replicas=0), RESEARCH, WRITER]}, set()),
)


def rolled_by(world: World, act: Callable[[], object]) -> set[str]:
    """Return the agents whose pod template changes during `act`."""
    before = _revisions(world)
    act()
    now = _revisions(world)
    return {name for name in before.keys() & now.keys() if before[name] != now[name]}


def _revisions(world: World) -> dict[str, str]:
    children = [thing.child for thing in world.things.values()]
    return {child.agent: child.rollout.revision for child in children if child.rollout}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_edit_rolls_only_the_agents_concerned(case: Case) -> None:
    world = systems.settled(systems.of_team())
    world.edit(**case.edit)

    assert rolled_by(world, world.settle) == case.rolled


def test_sharing_sessions_no_longer_rolls_the_agent_that_has_to_say_so() -> None:
    """One pod of store Memory knows every session, three do not: its config says which."""
    world = systems.settled(systems.of_team())
    world.edit(agents=[FRONT, builders.agent("research", replicas=3), WRITER])

    assert rolled_by(world, world.settle) == {"research"}


def test_more_replicas_of_many_roll_nobody() -> None:
    world = systems.settled(systems.of_one(agents=[builders.agent("front", replicas=2)]))
    world.edit(agents=[builders.agent("front", replicas=5)])

    assert rolled_by(world, world.settle) == set()
    assert world.rollout(world.deployment("front")).wanted == 5


def test_a_changed_config_map_rolls_the_agent_that_uses_it() -> None:
    agents = [{"name": "front", "route": "chat", **systems.FROM_TEXTS}, *systems.TEAM[1:]]
    world = World(systems.spec(agents=agents))
    world.config_maps["texts"] = Text({"front": "Be kind."})
    systems.settled(world)

    world.config_maps["texts"] = Text({"front": "Be kind and brief."})
    assert rolled_by(world, world.settle) == {"front"}


def test_another_key_of_a_config_map_changes_nothing() -> None:
    world = World(systems.spec(agents=[{"name": "front", "route": "chat", **systems.FROM_TEXTS}]))
    world.config_maps["texts"] = Text({"front": "Be kind."})
    systems.settled(world)

    world.config_maps["texts"] = Text({"front": "Be kind.", "unrelated": "x"})
    assert world.wrote(world.settle) == []


def test_a_removed_agent_takes_its_children_along_but_for_its_volume() -> None:
    world = systems.settled(systems.of_team(memory={"sessions": {"store": "SQLite"}}))
    world.edit(agents=systems.TEAM[:2])
    world.settle()
    world.collect_garbage()
    world.settle()

    left = {ref.kind for ref, thing in world.things.items() if thing.child.agent == "writer"}
    assert left == {Kind.PERSISTENT_VOLUME_CLAIM}
    assert world.condition("Ready") == ("True", "AllAgentsReady")


def test_children_go_after_everything_new_is_in_place() -> None:
    world = systems.settled(systems.of_team())
    world.edit(agents=[FRONT, RESEARCH, builders.agent("critic")])

    kinds = [type(action).__name__ for action in world.evaluate().actions]

    assert kinds == sorted(kinds, key=lambda kind: kind == "Delete")


def test_a_config_is_kept_while_a_replica_set_uses_it() -> None:
    world = systems.settled(systems.of_one())
    first = world.rollout(world.deployment("front")).revision
    world.edit(agents=[builders.agent("front", instructions="Be brief.")])
    world.settle()
    assert _configs(world) == {first, world.rollout(world.deployment("front")).revision}

    (old,) = [r for r, t in world.things.items() if r.kind is Kind.REPLICA_SET and first in r.name]
    del world.things[old]
    world.settle()
    assert _configs(world) == {world.rollout(world.deployment("front")).revision}


def test_ten_revisions_are_remembered() -> None:
    world = systems.settled(systems.of_one())
    for number in range(14):
        world.edit(agents=[builders.agent("front", instructions=f"Say {number}.")])
        world.settle()

    records = [t.child.record for t in world.things.values() if t.child.record]
    assert sorted(record.number for record in records) == list(range(6, 16))


def _configs(world: World) -> set[str]:
    return {t.child.revision for r, t in world.things.items() if r.kind is Kind.CONFIG_MAP}


def test_going_back_from_a_stuck_revision_is_a_rollout_too() -> None:
    sqlite = {"sessions": {"store": "SQLite"}}
    world = systems.settled(systems.of_one(memory=sqlite))
    agents, ref = world.spec["agents"], world.deployment("front")
    world.edit(agents=[builders.agent("front", instructions="Be stuck.")])
    world.reconcile()
    world.pods(ref, observed_generation=2, updated=1, available=0, ready=0, moving=True)
    world.pods(ref, unavailable_since=world.now)
    world.advance(minutes=5)
    world.edit(agents=agents)
    world.reconcile()
    world.pods(ref, updated=1)  # as counted before the Deployment's controller saw the change
    world.reconcile()
    assert world.condition("Progressing") == ("True", "RollingOut")
    assert world.condition("Degraded") == ("False", "AsDesired")

    world.pods(ref, moving=False)
    world.settle()
    assert world.condition("Ready") == ("True", "AllAgentsReady")
