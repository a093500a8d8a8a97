"""What is wrong is shown with its path, and whatever runs stays exactly as it is."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from agentsystem_operator.model import names
from agentsystem_operator.model.actions import Apply
from agentsystem_operator.model.observed import Remembered, Text, Unknown
from agentsystem_operator.model.references import Kind, Ref
from tests import builders
from tests.unit.engine import systems
from tests.unit.engine.world import KEY, World

IN_TEXTS = {"name": "front", "route": "chat", **systems.FROM_TEXTS}
SECOND_IN_TEXTS = [builders.agent("research"), IN_TEXTS]
ANSWERS = {
    "name": "canned",
    "type": "Scripted",
    "scripted": {"configMapKeyRef": {"name": "texts", "key": "answers"}},
}
SERVICE = Ref(Kind.SERVICE, "shop", "support--front")
ENTRY = names.entry_service(KEY)


@dataclass(frozen=True)
class Case:
    id: str
    spec: dict[str, Any]
    reason: str
    told: str
    texts: dict[str, str] | None = None


CASES = (
    Case(
        "no such ConfigMap",
        {"agents": SECOND_IN_TEXTS},
        "ConfigMapMissing",
        "spec.agents[1].instructionsFrom.configMapKeyRef: ConfigMap 'texts' does not exist;"
        " create it with key 'front'",
    ),
    Case(
        "no such key",
        {"agents": SECOND_IN_TEXTS},
        "ConfigMapKeyMissing",
        "spec.agents[1].instructionsFrom.configMapKeyRef: ConfigMap 'texts' has no key 'front'"
        " in its data; add it",
        texts={"other": "x"},
    ),
    Case(
        "no answers",
        {"providers": [ANSWERS]},
        "ConfigMapKeyMissing",
        "spec.providers[0].scripted.configMapKeyRef: ConfigMap 'texts' has no key 'answers'"
        " in its data; add it",
        texts={"front": "x"},
    ),
    Case(
        "over 1 MiB in all",
        {"agents": [IN_TEXTS], "providers": [ANSWERS]},
        "TooLarge",
        "spec.agents: the rendered configurations are over 1 MiB in all; shorten instructions"
        " or scripted answers",
        texts={"front": "x" * 600_000, "answers": "y" * 600_000},
    ),
    Case(
        "a field of a later version",
        {"agnets": []},
        "SpecInvalid",
        "spec.agnets: is not a field of this API; remove it or correct its spelling",
    ),
    Case("no spec at all", {"tier": None, "agents": None}, "SpecInvalid", "spec.agents: "),
)


def changed_to(world: World, case: Case) -> None:
    world.edit(**case.spec)
    if len(world.spec["agents"] or ()) > 1:
        world.edit(workflow={"entry": "research"})
    if case.texts is not None:
        world.config_maps["texts"] = Text(case.texts)


@pytest.mark.parametrize("grows", ["<", ">", "&", "\u2028"])
def test_a_record_is_measured_as_the_apiserver_stores_it(grows: str) -> None:
    """Six bytes for each of these characters: 250 kB of them are too much for a record."""
    world = systems.of_one(agents=[IN_TEXTS])
    world.config_maps["texts"] = Text({"front": grows * 250_000})

    assert world.wrote(world.settle) == ["status"]
    assert world.condition("ConfigValid") == ("False", "TooLarge")

    world.config_maps["texts"] = Text({"front": grows * 150_000})
    world.settle()
    assert world.condition("Ready") == ("True", "AllAgentsReady")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_new_system_says_what_is_wrong_and_makes_nothing(case: Case) -> None:
    world = systems.of_one()
    changed_to(world, case)

    assert world.wrote(world.settle) == ["status"]
    assert world.condition("ConfigValid") == ("False", case.reason)
    assert world.condition("Ready") == ("False", case.reason)
    assert case.told in world.message("ConfigValid")
    assert world.status["observedGeneration"] == world.generation
    assert [event.reason for event in world.events] == [case.reason]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_running_system_keeps_its_children_as_they_are(case: Case) -> None:
    world = systems.settled(systems.of_one())
    before = world.objects()
    changed_to(world, case)

    assert world.wrote(world.settle) == ["status"]
    assert world.objects() == before
    assert world.condition("ConfigValid") == ("False", case.reason)


def test_what_is_put_right_is_carried_out() -> None:
    world = World(systems.spec(agents=[IN_TEXTS]))
    world.settle()
    assert world.condition("ConfigValid") == ("False", "ConfigMapMissing")

    world.config_maps["texts"] = Text({"front": "Be kind."})
    world.settle()
    assert world.condition("Ready") == ("True", "AllAgentsReady")


def test_the_config_maps_in_use_are_named_even_while_one_is_missing() -> None:
    world = World(systems.spec(agents=[IN_TEXTS]))

    assert world.evaluate().references == {"texts"}


@pytest.mark.parametrize("ref", [ENTRY, SERVICE], ids=str)
@pytest.mark.parametrize("controller", ["", "Deployment/web"])
def test_a_taken_name_stops_every_write_but_the_status(ref: Ref, controller: str) -> None:
    world = systems.of_one()
    world.strangers[ref] = controller

    evaluation = world.reconcile()

    assert world.writes == ["status"]
    assert world.condition("ConfigValid") == ("False", "NameTaken")
    assert str(ref) in world.message("ConfigValid")
    assert evaluation.look_again == world.now + timedelta(seconds=30)
    assert world.wrote(world.reconcile) == []

    del world.strangers[ref]
    world.settle()
    assert world.condition("Ready") == ("True", "AllAgentsReady")


def test_a_child_that_lost_its_owner_is_not_taken_back() -> None:
    world = systems.settled(systems.of_one())
    world.change(SERVICE, controller_uid=None)
    world.edit(agents=[builders.agent("front", instructions="Be brief.")])

    assert world.wrote(world.settle) == ["status"]
    assert world.condition("ConfigValid") == ("False", "NameTaken")
    assert world.message("ConfigValid") == (
        "spec.agents[0]: Service 'support--front' exists and is not owned by this AgentSystem;"
        " delete it or choose another name"
    )


def test_children_of_an_earlier_system_of_this_name_are_waited_for() -> None:
    world = systems.settled(systems.of_one())
    world.uid, world.status = "system-2", {}

    evaluation = world.reconcile()
    assert world.condition("ConfigValid") == ("False", "NameTaken")
    assert "earlier AgentSystem" in world.message("ConfigValid")
    assert evaluation.look_again == world.now + timedelta(seconds=5)

    world.collect_garbage()
    world.settle()
    assert world.condition("Ready") == ("True", "AllAgentsReady")


def test_a_child_that_cannot_be_read_holds_its_writes_and_no_removal_happens() -> None:
    world = systems.settled(systems.of_team())
    del world.things[SERVICE]
    world.unreadable.add(SERVICE)
    world.edit(agents=systems.TEAM[:2])

    evaluation = world.reconcile()

    touched = [action.manifest.ref for action in evaluation.actions if isinstance(action, Apply)]
    assert SERVICE not in touched
    assert world.deployment("front") not in touched, "its pods rely on what is in doubt"
    assert world.deployment("writer") in world.things, "doubt never deletes"
    assert evaluation.look_again == world.now + timedelta(seconds=5)

    world.unreadable.clear()
    world.settle()
    world.collect_garbage()
    assert world.deployment("writer") not in world.things


def test_a_child_that_can_never_be_read_is_named() -> None:
    world = systems.settled(systems.of_one())
    del world.things[SERVICE]
    world.unreadable.add(SERVICE)
    world.reconcile()
    assert world.condition("ConfigValid") == ("True", "Valid"), "one failed read is no news"

    world.advance(seconds=30)
    world.reconcile()

    assert world.condition("ConfigValid") == ("Unknown", "ObservationUnknown")
    assert world.message("ConfigValid") == "could not be read: Service 'support--front'"
    world.unreadable.clear()
    world.settle()
    assert world.condition("Ready") == ("True", "AllAgentsReady")


def test_a_config_map_that_cannot_be_read_changes_nothing_and_is_no_news() -> None:
    world = World(systems.spec(agents=[IN_TEXTS]))
    world.config_maps["texts"] = Text({"front": "Be kind."})
    systems.settled(world)
    world.config_maps["texts"] = Unknown("timeout")

    evaluation = world.evaluate()

    assert (evaluation.actions, evaluation.status) == ((), None)
    assert [event.reason for event in evaluation.events] == ["ObservationUnknown"]
    assert evaluation.look_again == world.now + timedelta(seconds=5)


def test_doubt_that_lasts_hides_nothing_else() -> None:
    world = World(systems.spec(agents=[IN_TEXTS]))
    world.config_maps["texts"] = Text({"front": "Be kind."})
    systems.settled(world)
    world.config_maps["texts"] = Unknown("403")
    world.reconcile()
    world.roll(available=False)
    world.reconcile()
    assert world.condition("Available") == ("True", "AllAgentsAvailable")

    world.advance(seconds=30)
    world.reconcile()

    assert world.condition("Available") == ("False", "AgentsUnavailable")
    assert world.condition("ConfigValid") == ("Unknown", "ObservationUnknown")
    assert world.wrote(world.reconcile) == []

    world.config_maps["texts"] = Text({"front": "Be kind."})
    world.roll()
    world.settle()
    assert world.condition("Ready") == ("True", "AllAgentsReady")
    world.config_maps["texts"] = Unknown("403")
    assert world.evaluate().status is None, "another doubt, another patience"


def test_a_record_that_no_cluster_would_store_is_too_large() -> None:
    agents = [builders.agent(f"a{number}") for number in range(200)]
    env = [{"name": f"TEXT_{number}", "value": "x" * 8000} for number in range(2)]
    world = World(systems.spec(agents=agents, workflow={"entry": "a0"}, runtime={"env": env}))

    assert world.wrote(world.settle) == ["status"]
    assert world.condition("ConfigValid") == ("False", "TooLarge")
    assert "env" in world.message("ConfigValid")


def test_a_new_system_says_that_it_could_not_be_told() -> None:
    world = World(systems.spec(agents=[IN_TEXTS]))
    world.config_maps["texts"] = Unknown("timeout")
    world.reconcile()

    assert world.condition("ConfigValid") == ("Unknown", "ObservationUnknown")
    assert world.condition("Ready") == ("Unknown", "ObservationUnknown")


def test_a_refused_child_is_shown_and_the_other_agents_go_on() -> None:
    world = systems.of_team()
    refused = world.deployment("research")
    intent = _manifest_intent(world, refused)
    world.remembered = Remembered(refused={refused: (intent, "spec.template: no")})

    world.settle()

    assert world.condition("ConfigValid") == ("False", "ApplyRefused")
    assert world.message("ConfigValid") == (
        "spec.agents[1]: Deployment 'support--research-a' was refused: spec.template: no"
    )
    assert {world.deployment("front"), world.deployment("writer")} <= world.things.keys()
    assert refused not in world.things


def test_a_refused_config_keeps_the_old_pods_and_every_old_child() -> None:
    world = systems.settled(systems.of_team())
    world.edit(agents=[builders.agent("front", instructions="Be brief."), systems.TEAM[1]])
    new = next(
        a.manifest
        for a in world.evaluate().actions
        if isinstance(a, Apply) and a.manifest.ref.kind is Kind.CONFIG_MAP
    )
    world.remembered = replace(world.remembered, refused={new.ref: (new.intent, "no")})

    evaluation = world.reconcile()

    assert world.deployment("front") not in _applied(evaluation.actions)
    assert world.deployment("writer") in world.things, "the old side goes last"


def test_a_refusal_is_forgotten_with_the_intent_that_it_was_about() -> None:
    world = systems.of_one()
    ref = world.deployment("front")
    world.remembered = Remembered(refused={ref: ("another intent", "no")})

    world.settle()

    assert world.condition("Ready") == ("True", "AllAgentsReady")


def test_a_child_on_its_way_out_is_waited_for() -> None:
    world = systems.settled(systems.of_one())
    world.change(SERVICE, deleting=True)
    world.edit(agents=[builders.agent("front", instructions="Be brief.")])

    evaluation = world.reconcile()

    assert SERVICE not in _applied(evaluation.actions)
    assert evaluation.look_again == world.now + timedelta(seconds=5)


def _applied(actions: tuple[object, ...]) -> set[Ref]:
    return {action.manifest.ref for action in actions if isinstance(action, Apply)}


def _manifest_intent(world: World, ref: Ref) -> str:
    actions = world.evaluate().actions
    return next(
        a.manifest.intent for a in actions if isinstance(a, Apply) and a.manifest.ref == ref
    )
