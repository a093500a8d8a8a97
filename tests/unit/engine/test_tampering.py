"""What somebody else did to a child is told as such, and undone."""

from dataclasses import replace

from agentsystem_operator.model.actions import Apply, SetRecreate, Why
from agentsystem_operator.model.observed import NOT_OURS
from agentsystem_operator.model.references import Kind
from tests.unit.engine import systems


def test_an_intent_that_somebody_else_wrote_is_tampering_and_no_change_of_the_spec() -> None:
    world = systems.settled(systems.of_one())
    ref = world.deployment("front")
    thing = world.things[ref]
    thing.child = replace(thing.child, intent="")

    (action,) = world.evaluate().actions

    assert isinstance(action, Apply)
    assert (action.manifest.ref, action.reason) == (ref, Why.TAMPERED)


def test_a_record_whose_number_was_tampered_with_gets_its_number_back() -> None:
    world = systems.settled(systems.of_one())
    world.edit(runtime={"image": "example.org/agent:2"})
    world.settle()
    newest = max(
        (t.child for r, t in world.things.items() if r.kind is Kind.CONTROLLER_REVISION),
        key=lambda child: child.record.number if child.record else 0,
    )
    assert newest.record is not None
    number = newest.record.number
    assert number == 2
    thing = world.things[newest.ref]
    record = replace(newest.record, number=NOT_OURS)
    thing.child = replace(newest, ownership="less", record=record)

    evaluation = world.evaluate()
    (action,) = evaluation.actions

    assert isinstance(action, Apply)
    assert (action.reason, action.manifest.body["revision"]) == (Why.TAMPERED, number)
    assert [event.reason for event in evaluation.events] == ["Tampered"]


def test_a_strategy_that_somebody_lets_roll_is_set_back_before_the_apply_that_it_would_refuse() -> (
    None
):
    world = systems.settled(systems.of_one(memory={"sessions": {"store": "SQLite"}}))
    ref = world.deployment("front")
    world.pods(ref, rolls=True)
    world.change(ref, ownership="less")

    first, then = world.evaluate().actions

    assert first == SetRecreate(ref, world.things[ref].child.uid)
    assert isinstance(then, Apply)
    assert (then.manifest.ref, then.reason) == (ref, Why.TAMPERED)
    assert world.wrote(world.settle)[:2] == ["set support--front-a to Recreate", f"apply {ref}"]


def test_a_rolling_deployment_keeps_its_strategy() -> None:
    world = systems.settled(systems.of_one())
    ref = world.deployment("front")
    assert world.rollout(ref).rolls
    world.change(ref, ownership="less")

    assert [type(action) for action in world.evaluate().actions] == [Apply]


def test_sessions_that_move_to_a_disk_take_the_strategy_along() -> None:
    world = systems.settled(systems.of_one())
    ref = world.deployment("front")
    world.edit(memory={"sessions": {"store": "SQLite"}})

    assert "set support--front-a to Recreate" in world.wrote(world.settle)
    assert not world.rollout(ref).rolls


def test_a_child_that_stood_and_is_missing_is_made_again_with_an_event() -> None:
    world = systems.settled(systems.of_one())
    for ref in [r for r in world.things if r.kind is not Kind.REPLICA_SET]:
        gone = world.things.pop(ref)
        evaluation = world.evaluate()
        world.things[ref] = gone
        assert [(e.reason, e.message) for e in evaluation.events] == [
            ("Missing", f"{ref} was missing; made again")
        ]


def test_a_first_installation_tells_of_nothing_missing() -> None:
    assert [event.reason for event in systems.of_one().evaluate().events] == ["RollingOut"]
