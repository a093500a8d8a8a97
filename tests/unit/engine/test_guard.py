"""Systems that authenticate: siblings know each other by the cluster's keys."""

from datetime import timedelta
from typing import Any

from agentsystem_operator import engine
from agentsystem_operator.model import names
from agentsystem_operator.model.observed import Unknown
from tests.unit.engine import systems

GUARD: dict[str, Any] = {
    "auth": {"type": "APIKey", "apiKeys": {"secretRef": {"name": "callers", "key": "keys"}}}
}
OLD, NEW = '{"keys":[{"kid":"old"}]}', '{"keys":[{"kid":"new"}]}'
SESSIONS = {"sessions": {"store": "Memory"}}


def test_the_keys_of_the_cluster_are_written_once_and_anew_when_they_change() -> None:
    world = systems.of_team(guard=GUARD)
    world.cluster_keys = OLD
    evaluation = systems.settled(world).evaluate()
    ref = names.cluster_keys(world.key)
    assert world.body(ref)["data"] == {"jwks.json": OLD}
    assert evaluation.actions == ()
    assert evaluation.look_again == world.now + engine.RENEW_KEYS
    world.cluster_keys = NEW
    world.advance(hours=1)
    assert world.wrote(world.settle) == [f"apply {ref}"]  # and no pod is rolled
    assert world.body(ref)["data"] == {"jwks.json": NEW}


def test_while_they_cannot_be_read_nothing_is_changed_and_the_reason_is_told() -> None:
    world = systems.settled(systems.of_team(guard=GUARD))
    world.cluster_keys = Unknown("timeout")
    world.edit(paused=False)
    assert [w for w in world.wrote(world.reconcile) if w != "status"] == []
    world.advance(seconds=31)
    evaluation = world.reconcile()
    assert evaluation.actions == ()
    assert evaluation.look_again is not None
    assert evaluation.look_again <= world.now + timedelta(seconds=5)
    assert "the keys of the cluster's tokens" in world.message("ConfigValid")


def test_systems_that_have_no_use_for_them_neither_read_nor_keep_them() -> None:
    for world in (systems.of_team(), systems.of_one(guard=GUARD)):
        world.cluster_keys = Unknown("never asked for")
        systems.settled(world)
        assert names.cluster_keys(world.key) not in world.things
    world = systems.settled(systems.of_team(guard=GUARD))
    world.edit(guard={})
    world.settle()
    assert names.cluster_keys(world.key) not in world.things


def test_a_stored_system_from_before_the_rule_runs_on() -> None:
    """The apiserver asks for guard.auth with the next edit; until then it is looked after."""
    world = systems.of_team(tier="Production", memory=SESSIONS)
    systems.settled(world)
    assert world.condition("ConfigValid")[0] == "True"
    gone = world.deployment("research")
    del world.things[gone]
    assert f"apply {gone}" in world.wrote(world.settle)
