"""Another version of the operator rolls no pod (I21): agents adopt its defaults with an edit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from agentsystem_operator import engine
from agentsystem_operator.api import tiers
from agentsystem_operator.api.types import SessionStore, Tier
from agentsystem_operator.decide.workloads import Workload
from agentsystem_operator.model import names
from agentsystem_operator.plan import templates
from agentsystem_operator.plan.templates import Template
from tests import builders
from tests.unit.engine import systems
from tests.unit.engine.test_edit import rolled_by
from tests.unit.engine.world import SETTINGS, World

OLD_IMAGE, NEW_IMAGE = SETTINGS.default_image, "registry.example/agent-runtime:2"
OTHER_TIERS = {
    tier: replace(
        defaults,
        replicas=7,
        store=SessionStore.SQLITE,
        pre_stop=timedelta(seconds=9),
        spread_required=not defaults.spread_required,
    )
    for tier, defaults in tiers.TABLE.items()
}


NEWEST = templates.VERSIONS[templates.NEWEST]
NEXT = templates.NEWEST + 1


def deployment_of_next_version(workload: Workload, revision: str) -> Mapping[str, Any]:
    spec = dict(NEWEST.deployment(workload, revision))
    pod = {**spec["template"]["spec"], "priorityClassName": "agents"}
    return {**spec, "minReadySeconds": 7, "template": {**spec["template"], "spec": pod}}


def config_of_next_version(workload: Workload) -> Mapping[str, Any]:
    return {**NEWEST.config(workload), "contract": "v1.1", "novelty": True}


NEXT_TEMPLATES = {
    **templates.VERSIONS,
    NEXT: Template(deployment=deployment_of_next_version, config=config_of_next_version),
}


@dataclass(frozen=True)
class Case:
    id: str
    settings: engine.Settings


UPGRADES = (
    Case("image", replace(SETTINGS, default_image=NEW_IMAGE)),
    Case("tier table", replace(SETTINGS, tiers=OTHER_TIERS)),
    Case("template", replace(SETTINGS, templates=NEXT_TEMPLATES)),
    Case("all of them", engine.Settings(NEW_IMAGE, templates=NEXT_TEMPLATES, tiers=OTHER_TIERS)),
)


@pytest.mark.parametrize("case", UPGRADES, ids=lambda case: case.id)
@pytest.mark.parametrize("tier", list(Tier))
def test_an_upgrade_of_the_operator_writes_nothing_but_what_it_holds_back(
    case: Case, tier: Tier
) -> None:
    memory = {"sessions": {"store": "Memory"}} if tiers.TABLE[tier].store is None else {}
    world = systems.settled(systems.of_team(tier=tier.value, memory=memory))
    world.settings = case.settings

    assert world.wrote(world.settle) == ["status"]
    assert all(held(world, agent) for agent in ("front", "research", "writer"))
    assert world.wrote(world.settle) == []


def test_an_edited_agent_adopts_the_new_defaults_and_its_siblings_do_not() -> None:
    world = upgraded(systems.of_team())
    research = builders.agent("research", instructions="Be brief.")
    world.edit(agents=[systems.TEAM[0], research, systems.TEAM[2]])

    assert rolled_by(world, world.settle) == {"research"}
    assert images(world) == {"front": OLD_IMAGE, "research": NEW_IMAGE, "writer": OLD_IMAGE}


def test_replicas_alone_adopt_nothing() -> None:
    world = upgraded(systems.of_one(agents=[builders.agent("front", replicas=2)]))
    world.edit(agents=[builders.agent("front", replicas=4)])

    assert rolled_by(world, world.settle) == set()
    assert images(world) == {"front": OLD_IMAGE}


def test_a_new_agent_starts_with_the_new_defaults() -> None:
    world = upgraded(systems.of_team())
    world.edit(agents=[*systems.TEAM, builders.agent("critic")])
    world.settle()

    assert images(world) == {
        "front": NEW_IMAGE,  # the entry lists its siblings, so it was rolled anyway
        "research": OLD_IMAGE,
        "writer": OLD_IMAGE,
        "critic": NEW_IMAGE,
    }


def test_a_second_edit_of_another_agent_leaves_the_first_where_it_is() -> None:
    world = upgraded(systems.of_team())
    research = builders.agent("research", instructions="Be brief.")
    world.edit(agents=[systems.TEAM[0], research, systems.TEAM[2]])
    world.settle()
    world.settings = replace(SETTINGS, default_image="registry.example/agent-runtime:3")
    writer = builders.agent("writer", instructions="Be long.")
    world.edit(agents=[systems.TEAM[0], research, writer])

    assert rolled_by(world, world.settle) == {"writer"}
    assert images(world)["research"] == NEW_IMAGE


def test_a_stated_image_is_nobodys_default() -> None:
    stated = "registry.example/my-runtime:1"
    world = upgraded(systems.of_one(runtime={"image": stated}))

    assert images(world) == {"front": stated}


def test_what_is_held_back_is_named_with_what_it_becomes() -> None:
    world = systems.settled(systems.of_one(tier="Development"))
    world.settings = engine.Settings(NEW_IMAGE, templates=NEXT_TEMPLATES, tiers=OTHER_TIERS)
    world.settle()

    assert held(world, "front") == [
        {"setting": "Image", "held": OLD_IMAGE, "next": NEW_IMAGE},
        {"setting": "Template", "held": str(templates.NEWEST), "next": str(NEXT)},
        {"setting": "SessionStore", "held": "Memory", "next": "SQLite"},
        {"setting": "PreStop", "held": "2s", "next": "9s"},
        {"setting": "Spread", "held": "preferred", "next": "required"},
    ]


def test_an_edited_agent_is_held_back_in_nothing_and_its_siblings_are() -> None:
    world = upgraded(systems.of_team())
    research = builders.agent("research", instructions="Be brief.")
    world.edit(agents=[systems.TEAM[0], research, systems.TEAM[2]])
    world.settle()

    image = [{"setting": "Image", "held": OLD_IMAGE, "next": NEW_IMAGE}]
    assert [held(world, name) for name in ("front", "research", "writer")] == [image, None, image]


def test_going_back_to_the_older_operator_writes_the_status_alone() -> None:
    world = upgraded(systems.of_team())
    world.settle()
    world.settings = SETTINGS

    assert world.wrote(world.settle) == ["status"]
    assert held(world, "front") is None


def test_another_version_of_the_template_comes_with_an_edit_config_included() -> None:
    world = systems.settled(systems.of_team())
    world.settings = replace(SETTINGS, templates=NEXT_TEMPLATES)
    world.settle()
    writer = builders.agent("writer", instructions="Be long.")
    world.edit(agents=[*systems.TEAM[:2], writer])

    assert rolled_by(world, world.settle) == {"writer"}
    specs = {
        thing.child.agent: thing.body["spec"]
        for thing in world.things.values()
        if thing.child.rollout
    }
    assert {name: spec["minReadySeconds"] for name, spec in specs.items()} == {
        "front": 5,
        "research": 5,
        "writer": 7,
    }
    assert config_of(world, "writer")["contract"] == "v1.1"
    assert config_of(world, "front")["contract"] == "v1.0"


def test_a_template_that_only_a_newer_operator_knows_is_replaced_by_ours() -> None:
    world = World(systems.spec(), settings=replace(SETTINGS, templates=NEXT_TEMPLATES))
    systems.settled(world)
    world.settings = SETTINGS

    assert rolled_by(world, world.settle) == {"front"}
    assert held(world, "front") is None
    assert world.condition("Ready")[0] == "True"


def test_what_is_held_back_stays_told_while_nothing_can_be_planned() -> None:
    world = upgraded(systems.of_one(agents=[builders.agent(instructions="Be kind.")]))
    world.settle()
    before = held(world, "front")
    agent = {"name": "front", "route": "chat", **systems.FROM_TEXTS}
    world.edit(agents=[agent])
    world.settle()

    assert world.condition("ConfigValid") == ("False", "ConfigMapMissing")
    assert before
    assert held(world, "front") == before


def test_a_stated_image_and_stated_replicas_are_never_held_back() -> None:
    stated = {"runtime": {"image": "registry.example/my-runtime:1"}}
    world = systems.settled(
        systems.of_one(tier="Testing", agents=[builders.agent(replicas=1)], **stated)
    )
    world.settings = engine.Settings(NEW_IMAGE, tiers=OTHER_TIERS)
    world.settle()

    assert [item["setting"] for item in held(world, "front") or []] == ["PreStop", "Spread"]


def upgraded(world: World) -> World:
    """Return the settled world under an operator with another default image."""
    systems.settled(world)
    world.settings = replace(SETTINGS, default_image=NEW_IMAGE)
    return world


def images(world: World) -> dict[str, Any]:
    """Return the image of each agent's pods."""
    return {
        thing.child.agent: thing.body["spec"]["template"]["spec"]["containers"][0]["image"]
        for thing in world.things.values()
        if thing.child.rollout
    }


def held(world: World, agent: str) -> list[dict[str, str]] | None:
    """Return what the status says is held back of an agent, None when it says nothing."""
    (found,) = [each for each in world.status["agents"] if each["name"] == agent]
    pinned: list[dict[str, str]] | None = found.get("pinned")
    return pinned


def config_of(world: World, agent: str) -> dict[str, Any]:
    """Return the configuration of the revision that an agent runs."""
    revision = world.rollout(world.deployment(agent)).revision
    text = world.body(names.config_map(world.key, agent, revision))["data"]["config.json"]
    found: dict[str, Any] = json.loads(text)
    return found
