"""From a new resource to a running system, at the price that the design states."""

from agentsystem_operator.model import names
from agentsystem_operator.model.references import Kind
from tests import builders
from tests.unit.engine import systems
from tests.unit.engine.world import World


def test_create_to_ready_takes_twelve_writes() -> None:
    """8 children, 1 hand-over of replicas, 2 status, 1 Event."""
    world = systems.settled(systems.of_one())

    assert world.writes == [
        "apply ServiceAccount 'support--front'",
        f"apply ConfigMap 'support--front-{_revision(world)}'",
        "apply NetworkPolicy 'support--front'",
        "apply Service 'support--front'",
        "apply PodDisruptionBudget 'support--front'",
        f"apply ControllerRevision 'support--{world.status['revision']['desired']}'",
        "apply Deployment 'support--front-a'",
        "hand over support--front-a",
        "apply Service 'support'",
        "status",
        "status",
    ]
    assert len(world.events) == 1


def test_the_pass_after_the_first_has_nothing_to_do() -> None:
    world = systems.of_one()
    world.reconcile()

    assert world.wrote(world.reconcile) == []


def test_two_passes_over_one_world_give_the_same_answer() -> None:
    world = systems.of_team()

    assert world.evaluate() == world.evaluate()


def test_pods_that_come_up_one_by_one_cost_no_status_write() -> None:
    world = systems.of_one(agents=[builders.agent(replicas=3)])
    world.reconcile()
    ref = world.deployment("front")
    world.pods(ref, observed_generation=1, replicas=3, updated=3)

    for ready in (1, 2, 3):
        world.advance(seconds=3)
        world.pods(ref, ready=ready)
        assert world.wrote(world.reconcile) == []


def test_every_child_is_read_once_before_it_is_made_and_never_again() -> None:
    world = systems.of_one()
    world.reconcile()
    assert world.reads == 8

    world.settle()
    assert world.reads == 8


def test_a_sqlite_agent_gets_a_claim_that_status_names() -> None:
    world = systems.settled(systems.of_one(memory={"sessions": {"store": "SQLite"}}))

    claim = names.agent_child(world.key, "front", Kind.PERSISTENT_VOLUME_CLAIM)
    assert "ownerReferences" not in world.body(claim)["metadata"]
    assert world.status["agents"][0]["claim"] == "support--front"


def test_a_claim_of_an_earlier_system_is_adopted_as_it_is() -> None:
    """Another size is no reason to touch what people said."""
    first = systems.settled(systems.of_one(memory={"sessions": {"store": "SQLite"}}))
    sqlite = {"store": "SQLite", "sqlite": {"size": "9Gi"}}
    second = World(systems.spec(memory={"sessions": sqlite}), uid="system-2")
    second.things = dict(first.things)
    second.collect_garbage()

    second.settle()

    assert second.condition("Ready") == ("True", "AllAgentsReady")
    assert "apply PersistentVolumeClaim 'support--front'" not in second.writes


def test_a_system_that_is_being_deleted_is_left_to_the_garbage_collector() -> None:
    world = systems.settled(systems.of_one())
    world.deleting = True
    world.edit(agents=systems.TEAM, workflow={"entry": "front"})

    assert world.wrote(world.reconcile) == []


def test_a_paused_system_gets_no_children_but_a_status() -> None:
    world = systems.of_one(paused=True)

    assert world.wrote(world.reconcile) == ["status"]
    assert world.condition("Paused") == ("True", "PausedBySpec")
    assert world.condition("Progressing") == ("False", "PausedBySpec")

    world.edit(paused=False)
    world.settle()
    assert world.condition("Ready") == ("True", "AllAgentsReady")


def _revision(world: World) -> str:
    return world.rollout(world.deployment("front")).revision
