"""Who writes what: replicas have one owner, and what others changed is put back once."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from agentsystem_operator.model.actions import Apply, HandOverReplicas, Scale, SetRecreate, Why
from agentsystem_operator.model.observed import ReplicasOwner
from agentsystem_operator.model.references import Kind
from agentsystem_operator.model.rivals import Claim
from tests import builders
from tests.unit.engine import systems

EDITED_REPLICAS = Claim("kubectl-edit", b'{"f:spec":{"f:replicas":{}}}')


def test_replicas_are_handed_over_before_the_deployment_is_applied_again() -> None:
    """A sole owner that leaves the field out would reset it to 1."""
    world = systems.settled(systems.of_one(agents=[builders.agent("front", replicas=3)]))
    ref = world.deployment("front")
    world.pods(ref, replicas_owner=ReplicasOwner.MAIN)
    world.edit(runtime={"env": [{"name": "A", "value": "1"}]})

    mine = [a for a in world.evaluate().actions if _of_deployment(a)]

    assert [type(action) for action in mine] == [HandOverReplicas, Apply]


@pytest.mark.parametrize("wanted", [0, 2, 5])
def test_a_number_that_others_set_is_set_back_once(wanted: int) -> None:
    world = systems.settled(systems.of_one(agents=[builders.agent("front", replicas=3)]))
    ref = world.deployment("front")
    world.pods(ref, wanted=wanted)

    uid = world.things[ref].child.uid
    assert world.evaluate().actions == (Scale(ref, uid, 3, Why.REPLICAS, wanted),)
    assert world.wrote(world.settle)[0] == "scale support--front-a to 3"
    assert world.events[-1].message == (
        f"Deployment 'support--front-a' had {wanted} replicas; set to 3 as declared"
    )
    assert world.evaluate().actions == ()


def test_a_field_that_others_took_is_taken_back_even_with_the_right_number() -> None:
    world = systems.settled(systems.of_one())
    ref = world.deployment("front")
    world.pods(ref, replicas_owner=ReplicasOwner.OTHER)
    world.change(ref, claims=(EDITED_REPLICAS,))
    uid = world.things[ref].child.uid

    assert world.evaluate().actions == (Scale(ref, uid, 1, Why.TAMPERED, 1, ("kubectl-edit",)),)
    world.settle()
    assert world.events[-1].message == (
        "Deployment 'support--front-a' had been set to 1 replicas by 'kubectl-edit'; set to 1"
    )


def test_fewer_replicas_come_before_a_template_that_cannot_share() -> None:
    """Three pods must not fight for one volume."""
    world = systems.settled(systems.of_one(agents=[builders.agent("front", replicas=3)]))
    world.edit(agents=[builders.agent("front")], memory={"sessions": {"store": "SQLite"}})

    mine = [a for a in world.evaluate().actions if _of_deployment(a)]

    assert [type(action) for action in mine] == [Scale, SetRecreate, Apply]


def test_more_replicas_come_after_the_template_that_can() -> None:
    world = systems.settled(systems.of_one(memory={"sessions": {"store": "SQLite"}}))
    world.edit(
        agents=[builders.agent("front", replicas=3)], memory={"sessions": {"store": "Memory"}}
    )

    mine = [a for a in world.evaluate().actions if _of_deployment(a)]

    assert [type(action) for action in mine] == [Apply, Scale]


def test_every_tampered_child_is_applied_exactly_once() -> None:
    world = systems.settled(systems.of_one())
    kinds = (Kind.REPLICA_SET, Kind.PERSISTENT_VOLUME_CLAIM)
    for ref in [ref for ref in world.things if ref.kind not in kinds]:
        world.change(ref, ownership="somebody took a field")

        (action,) = world.evaluate().actions
        assert isinstance(action, Apply)
        assert (action.manifest.ref, action.reason) == (ref, Why.TAMPERED)
        assert len(world.wrote(world.settle)) == 1


def test_a_restored_child_is_told_in_an_event() -> None:
    world = systems.settled(systems.of_one())
    ref = world.deployment("front")
    world.change(ref, ownership="somebody took a field")
    world.settle()

    assert world.events[-1].message == (
        "Deployment 'support--front-a' had been changed by somebody else; restored"
    )


def test_the_event_names_who_took_a_field_and_nobody_who_took_another_one() -> None:
    world = systems.settled(systems.of_one())
    ref = world.deployment("front")
    image: dict[str, Any] = {"f:containers": {'k:{"name":"agent"}': {"f:image": {}}}}
    took = orjson.dumps({"f:spec": {"f:template": {"f:spec": image}}})
    note = b'{"f:metadata":{"f:annotations":{".":{},"f:example.com/note":{}}}}'
    claims = (Claim("kubectl-client-side-apply", took), Claim("kubectl-annotate", note))
    world.change(ref, ownership="somebody took a field", claims=claims)
    world.settle()

    assert world.events[-1].message == (
        "Deployment 'support--front-a' had been changed by 'kubectl-client-side-apply'; restored"
    )


def test_an_old_manifest_that_somebody_applied_is_tampering_although_its_intent_is_ours() -> None:
    world = systems.settled(systems.of_one())
    ref = world.deployment("front")
    intent = b'{"f:metadata":{"f:annotations":{"f:agentsystem.dev/intent":{}}}}'
    world.change(ref, intent="of an older revision", claims=(Claim("kubectl", intent),))

    (action,) = world.evaluate().actions
    assert isinstance(action, Apply)
    assert (action.reason, action.by) == (Why.TAMPERED, ("kubectl",))


def test_a_change_of_ours_is_no_tampering_although_others_wrote_meanwhile() -> None:
    world = systems.settled(systems.of_one())
    ref = world.deployment("front")
    note = b'{"f:metadata":{"f:annotations":{"f:example.com/note":{}}}}'
    world.change(ref, claims=(Claim("kubectl-annotate", note),))
    assert world.wrote(world.settle) == []

    world.edit(agents=[builders.agent(instructions="Be brief.")])
    world.settle()
    assert not [event for event in world.events if event.reason == Why.TAMPERED]


def test_what_an_admission_webhook_adds_is_no_tampering() -> None:
    world = systems.settled(systems.of_one())
    ref = world.deployment("front")
    world.change(ref, ownership="with the webhook's fields")
    accepted = {ref: (world.things[ref].child.intent, "with the webhook's fields")}
    world.remembered = replace(world.remembered, accepted_ownership=accepted)

    assert world.wrote(world.settle) == []

    world.change(ref, ownership="with somebody else's, too")
    assert world.wrote(world.settle) == ["apply Deployment 'support--front-a'"]


@pytest.mark.parametrize("kind", [k for k in Kind if k not in (Kind.REPLICA_SET,)])
def test_a_deleted_child_is_made_again(kind: Kind) -> None:
    world = systems.settled(systems.of_one(memory={"sessions": {"store": "SQLite"}}))
    before = world.objects()
    (ref, *_) = [ref for ref in world.things if ref.kind is kind]
    del world.things[ref]

    world.settle()

    assert world.objects() == before


def test_a_paused_system_is_left_to_whoever_touches_it() -> None:
    world = systems.settled(systems.of_one())
    world.edit(paused=True)
    world.settle()
    world.change(world.deployment("front"), ownership="somebody took a field")
    world.pods(world.deployment("front"), wanted=4)

    assert world.wrote(world.reconcile) == []


def _of_deployment(action: object) -> bool:
    ref = action.manifest.ref if isinstance(action, Apply) else getattr(action, "ref", None)
    return ref is not None and ref.kind is Kind.DEPLOYMENT
