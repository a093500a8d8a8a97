"""An agent whose sessions are on a disk of one node waits for that node, and status says so."""

from __future__ import annotations

from agentsystem_operator.model import names
from agentsystem_operator.model.references import Kind
from tests.unit.engine import systems
from tests.unit.engine.world import World

TIED = "front (needs its volume support--front, made for node node-2)"


def kept_on_disk(node: str, **fields: object) -> World:
    """A system that is Ready, with its claim's volume on a node."""
    world = systems.of_one(memory={"sessions": {"store": "SQLite"}}, **fields)
    world.reconcile()
    claim = names.agent_child(world.key, "front", Kind.PERSISTENT_VOLUME_CLAIM)
    world.change(claim, node=node)
    return systems.settled(world)


def lose_pods(world: World, *, after_s: int = 0) -> None:
    world.pods(world.deployment("front"), ready=0, available=0, unavailable_since=world.now)
    world.reconcile()
    world.advance(seconds=after_s)
    world.reconcile()


def test_a_lost_node_is_named_with_agent_and_volume_at_once() -> None:
    world = kept_on_disk("node-2")

    lose_pods(world)

    assert world.condition("Available") == ("False", "AgentsUnavailable")
    assert world.message("Available") == f"too few available pods: {TIED}"
    assert world.message("Ready") == world.message("Available")
    assert world.status["agents"][0]["reason"] == "BelowDesired"  # it may be back in a second


def test_after_a_minute_the_agent_is_said_to_wait_for_its_volume() -> None:
    world = kept_on_disk("node-2")

    lose_pods(world, after_s=60)

    assert world.condition("Degraded") == ("True", "WaitingForVolume")
    assert world.message("Degraded") == f"fewer pods than desired: {TIED}"
    assert world.status["agents"][0]["reason"] == "WaitingForVolume"
    assert [(e.reason, e.message) for e in world.events if e.reason == "WaitingForVolume"] == [
        ("WaitingForVolume", f"fewer pods than desired: {TIED}")
    ]


def test_waiting_costs_one_write_when_it_begins_and_one_when_it_is_certain() -> None:
    world = kept_on_disk("node-2")

    assert world.wrote(lambda: lose_pods(world, after_s=60)) == ["status", "status"]
    world.advance(minutes=30)
    assert world.wrote(world.reconcile) == []


def test_the_node_becoming_known_while_the_first_pod_starts_is_not_written() -> None:
    world = systems.of_one(memory={"sessions": {"store": "SQLite"}})
    world.reconcile()
    world.reconcile()
    claim = names.agent_child(world.key, "front", Kind.PERSISTENT_VOLUME_CLAIM)
    world.change(claim, node="node-2")
    world.advance(minutes=5)

    assert world.wrote(world.reconcile) == []
    assert world.message("Available") == "too few available pods: front"


def test_a_volume_of_no_node_is_not_waited_for() -> None:
    world = kept_on_disk("")

    lose_pods(world, after_s=60)

    assert world.condition("Degraded") == ("True", "BelowDesired")
    assert world.message("Degraded") == "fewer pods than desired: front"


def test_it_is_said_also_while_the_spec_leads_nowhere() -> None:
    world = kept_on_disk("node-2")
    world.edit(agents=[{"name": "front", "route": "chat", **systems.FROM_TEXTS}])

    lose_pods(world, after_s=60)

    assert world.condition("ConfigValid") == ("False", "ConfigMapMissing")
    assert world.condition("Degraded") == ("True", "WaitingForVolume")


def test_the_agent_is_well_as_soon_as_its_pod_is_back() -> None:
    world = kept_on_disk("node-2")
    lose_pods(world, after_s=60)

    world.roll()
    world.settle()

    assert world.condition("Degraded") == ("False", "AsDesired")
    assert world.status["agents"][0]["reason"] == "AgentReady"
