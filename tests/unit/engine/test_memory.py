"""What a pass sees fresher than the cache, what it remembers, and when it looks again."""

from datetime import timedelta

from agentsystem_operator import engine
from agentsystem_operator.model.actions import Apply, Why
from agentsystem_operator.model.evaluation import Evaluation
from agentsystem_operator.model.observed import Absent, Observed, Remembered
from agentsystem_operator.model.references import Kind, Ref
from tests import builders
from tests.unit.engine import systems

SERVICE = Ref(Kind.SERVICE, "shop", "support--front")


def test_what_was_read_just_now_beats_the_cache() -> None:
    """The cache still holds a Service that a conflict told us is gone."""
    world = systems.settled(systems.of_one())
    children = {ref: thing.child for ref, thing in world.things.items()}

    answer = engine.evaluate(
        world.system(),
        Observed(children, lookups={SERVICE: Absent()}),
        remembered=world.remembered,
        settings=world.settings,
        now=world.now,
    )

    assert isinstance(answer, Evaluation)
    (action,) = answer.actions
    assert isinstance(action, Apply)
    assert (action.manifest.ref, action.uid, action.reason) == (SERVICE, None, Why.MISSING)


def test_nothing_is_remembered_of_children_that_are_gone() -> None:
    world = systems.settled(systems.of_one())
    past = Ref(Kind.CONFIG_MAP, "shop", "support--front-0000000000")
    kept, dropped = {SERVICE: ("i", "kept")}, {past: ("i", "dropped")}
    world.remembered = Remembered(
        refused={**kept, **dropped}, accepted_ownership={**kept, **dropped}
    )

    world.reconcile()

    assert (world.remembered.refused, world.remembered.accepted_ownership) == (kept, kept)


def test_lost_pods_are_looked_at_again_when_they_have_been_lost_for_a_minute() -> None:
    world = systems.settled(systems.of_one(agents=[builders.agent("front", replicas=3)]))
    ref = world.deployment("front")
    lost = world.now
    world.pods(ref, ready=2, available=2, unavailable_since=lost)
    world.advance(seconds=20)
    world.reconcile()
    world.advance(seconds=10)

    assert world.reconcile().look_again == lost + timedelta(seconds=60)
    assert world.condition("Degraded") == ("False", "AsDesired")

    world.advance(seconds=30)
    assert world.reconcile().look_again is None
    assert world.condition("Degraded") == ("True", "BelowDesired")


def test_a_deployment_that_says_nothing_new_yet_is_not_short_of_pods() -> None:
    """Its condition lags behind its counters for a moment."""
    world = systems.settled(systems.of_one())
    ref = world.deployment("front")
    world.pods(ref, unavailable_since=world.now)
    world.advance(minutes=5)

    assert world.evaluate().conditions["Degraded"] == ("False", "AsDesired")
