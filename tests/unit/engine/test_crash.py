"""Whatever write the operator dies after, the next one finishes the job (I5)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from agentsystem_operator.model.references import Kind, Ref
from tests import builders
from tests.unit.engine import systems
from tests.unit.engine.world import World

Objects = Mapping[Ref, Mapping[str, Any]]


@dataclass(frozen=True)
class Case:
    id: str
    change: Callable[[World], None]


def _nothing(world: World) -> None:
    """The first pass after the create."""


def _new_instructions(world: World) -> None:
    changed = builders.agent("research", instructions="Be brief.")
    world.edit(agents=[systems.TEAM[0], changed, systems.TEAM[2]])


def _fewer_agents(world: World) -> None:
    world.edit(agents=systems.TEAM[:2])


def _onto_disk(world: World) -> None:
    world.edit(memory={"sessions": {"store": "SQLite"}})


def _more_replicas(world: World) -> None:
    world.edit(agents=[builders.agent("front", replicas=3), *systems.TEAM[1:]])


EDITS = (
    Case("new instructions", _new_instructions),
    Case("an agent less", _fewer_agents),
    Case("sessions onto disk", _onto_disk),
    Case("more replicas", _more_replicas),
)


def _ended(world: World) -> Objects:
    """Settle, and return what is there; replicas stand in the projection."""
    world.settle(passes=30)
    world.collect_garbage()
    world.settle()
    return world.objects()


def _made_at_once(world: World) -> Objects:
    return _stable(_ended(world))


def _stable(objects: Objects) -> Objects:
    """Leave out what depends on how often a revision was written, not on what is declared."""
    return {ref: body for ref, body in objects.items() if ref.kind is not Kind.CONTROLLER_REVISION}


def _steps(change: Callable[[World], None], start: Callable[[], World]) -> int:
    world = start()
    change(world)
    return len(world.evaluate().actions)


def test_a_create_that_dies_after_any_write_is_finished_by_the_next_pass() -> None:
    reference = _ended(systems.of_team())
    steps = _steps(_nothing, systems.of_team)
    assert steps == 3 * 5 + 1 + 3 * 2 + 1

    for step in range(steps + 1):
        world = systems.of_team()
        world.reconcile(stop_after=step)
        assert _ended(world) == reference, f"died after {step} writes"
        assert len(world.writes) == len(set(world.writes)) + 1, "only the status is written twice"


@pytest.mark.parametrize("case", EDITS, ids=lambda case: case.id)
def test_an_edit_that_dies_after_any_write_is_finished_by_the_next_pass(case: Case) -> None:
    def start() -> World:
        return systems.settled(systems.of_team())

    undisturbed = start()
    case.change(undisturbed)
    reference = _made_at_once(undisturbed)

    for step in range(_steps(case.change, start) + 1):
        world = start()
        case.change(world)
        world.reconcile(stop_after=step)
        assert _made_at_once(world) == reference, f"died after {step} writes"
        assert world.condition("Ready") == ("True", "AllAgentsReady")


@pytest.mark.parametrize("case", EDITS, ids=lambda case: case.id)
def test_a_restart_over_a_settled_world_writes_nothing(case: Case) -> None:
    world = systems.settled(systems.of_team())
    case.change(world)
    _ended(world)

    world.remembered = type(world.remembered)()
    assert world.wrote(world.reconcile) == []


def test_there_and_back_between_two_passes_leaves_everything_as_it_was() -> None:
    world = systems.settled(systems.of_team())
    before = world.objects()

    _new_instructions(world)
    world.edit(agents=systems.TEAM)

    assert world.wrote(world.settle) == ["status"], "the generation has to be reported"
    assert world.objects() == before


def test_there_and_back_again_makes_the_old_revision_the_newest_one() -> None:
    world = systems.settled(systems.of_team())
    first = world.status["revision"]["active"]

    _new_instructions(world)
    world.settle()
    second = world.status["revision"]["active"]
    world.edit(agents=systems.TEAM)
    world.settle()

    numbers = {
        body["metadata"]["labels"]["agentsystem.dev/revision"]: body["revision"]
        for ref, body in world.objects().items()
        if ref.kind is Kind.CONTROLLER_REVISION
    }
    assert world.status["revision"] == {"desired": first, "active": first}
    assert numbers == {second: 2, first: 3}
