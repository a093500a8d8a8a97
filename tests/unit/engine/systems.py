"""Worlds to start from."""

from __future__ import annotations

from typing import Any

from tests import builders
from tests.unit.engine.world import World

TEAM = [builders.agent("front"), builders.agent("research"), builders.agent("writer")]
FROM_TEXTS = {"instructionsFrom": {"configMapKeyRef": {"name": "texts", "key": "front"}}}


def spec(**fields: Any) -> dict[str, Any]:
    """Return the spec of a Development system of one agent with scripted answers."""
    body: dict[str, Any] = builders.system("support", "shop", **fields)["spec"]
    return body


def of_one(**fields: Any) -> World:
    """A new system of one agent."""
    return World(spec(**fields))


def of_team(**fields: Any) -> World:
    """A new system of three agents."""
    return World(spec(agents=TEAM, **fields))


def settled(world: World) -> World:
    """Return the world once everything declared runs."""
    world.settle()
    assert world.condition("Ready")[0] == "True", world.status
    return world
