"""Another version of the operator rolls no pod (I21): agents adopt its defaults with an edit."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from agentsystem_operator import engine
from agentsystem_operator.api import tiers
from agentsystem_operator.api.types import SessionStore, Tier
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


@dataclass(frozen=True)
class Case:
    id: str
    settings: engine.Settings


UPGRADES = (
    Case("image", replace(SETTINGS, default_image=NEW_IMAGE)),
    Case("tier table", replace(SETTINGS, tiers=OTHER_TIERS)),
    Case("template", replace(SETTINGS, template=2)),
    Case("all of them", engine.Settings(NEW_IMAGE, template=2, tiers=OTHER_TIERS)),
)


@pytest.mark.parametrize("case", UPGRADES, ids=lambda case: case.id)
@pytest.mark.parametrize("tier", list(Tier))
def test_an_upgrade_of_the_operator_writes_nothing(case: Case, tier: Tier) -> None:
    memory = {"sessions": {"store": "Memory"}} if tiers.TABLE[tier].store is None else {}
    world = systems.settled(systems.of_team(tier=tier.value, memory=memory))
    world.settings = case.settings

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
