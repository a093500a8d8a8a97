"""An image that the operator's administrator does not allow changes nothing that runs."""

from __future__ import annotations

from dataclasses import replace

from agentsystem_operator import engine
from tests import builders
from tests.unit.engine import systems
from tests.unit.engine.test_upgrade import NEW_IMAGE, images
from tests.unit.engine.world import SETTINGS, World

GOOD, EVIL = "registry.example/team/app:1", "evil.example/app:1"
STRICT = replace(SETTINGS, allowed_images=("registry.example/team/*",))


def strict(world: World) -> World:
    world.settings = STRICT
    return world


def test_a_new_system_with_such_an_image_is_explained_and_made_of_nothing() -> None:
    world = strict(systems.of_one(runtime={"image": EVIL}))

    assert world.wrote(world.settle) == ["status"]
    assert world.condition("ConfigValid") == ("False", "ImageNotAllowed")
    assert world.message("ConfigValid").startswith("spec.runtime.image: image 'evil.example/app:1'")


def test_an_edit_to_such_an_image_changes_nothing_and_is_undone_by_the_next_edit() -> None:
    world = systems.settled(strict(systems.of_one(runtime={"image": GOOD})))
    before = world.objects()
    world.edit(runtime={"image": EVIL}, agents=[builders.agent(replicas=3)])

    assert world.wrote(world.settle) == ["status"]
    assert world.objects() == before

    world.edit(runtime={"image": GOOD})
    world.settle()
    assert world.condition("Ready") == ("True", "AllAgentsReady")


def test_stricter_patterns_leave_running_agents_alone_and_hold_changes_back() -> None:
    world = systems.settled(systems.of_one(runtime={"image": EVIL}))
    before = world.objects()

    assert strict(world).wrote(world.settle) == ["status"]
    world.edit(agents=[builders.agent(replicas=3)])
    assert world.wrote(world.settle) == ["status"]
    assert world.objects() == before


def test_the_default_image_needs_no_pattern_stated_or_not() -> None:
    assert images(systems.settled(strict(systems.of_one()))) == {"front": SETTINGS.default_image}
    stated = strict(systems.of_one(runtime={"image": SETTINGS.default_image}))
    assert images(systems.settled(stated)) == {"front": SETTINGS.default_image}


def test_an_earlier_operators_default_stays_with_its_agents_until_they_change() -> None:
    world = systems.settled(systems.of_one())
    world.settings = engine.Settings(NEW_IMAGE, allowed_images=STRICT.allowed_images)

    assert world.wrote(world.settle) == ["status"]  # which names the image that is held back
    world.edit(agents=[builders.agent(replicas=3)])
    world.settle()
    assert images(world) == {"front": SETTINGS.default_image}

    world.edit(agents=[builders.agent(instructions="Be brief.")])
    world.settle()
    assert images(world) == {"front": NEW_IMAGE}
