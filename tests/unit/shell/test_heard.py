"""The table of what pods said: young, counted by system, and quiet while nothing changes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from agentsystem_operator.api.reasons import ProviderState
from agentsystem_operator.model.heard import Choice, Heard, Load, Said, Speaker, Statement
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.shell.heard import NAMES_MAX, HeardTable
from tests.fakes.clock import FakeClock
from tests.fakes.virtual_time import virtual

KEY, OTHER = SystemKey("shop", "team"), SystemKey("mall", "team")
UP = Statement(ProviderState.HEALTHY, recent=True)
DOWN = Statement(ProviderState.DOWN, "connect", recent=True)


def pod(number: int, system: SystemKey = KEY) -> Speaker:
    return Speaker(system, "front", f"uid-{system.namespace}-{number}")


def says(statement: Statement, active: str = "sim") -> Said:
    return Said({"sim": statement}, {"chat": Choice(active)})


class Told:
    """The systems that became due."""

    def __init__(self) -> None:
        self.keys: list[SystemKey] = []
        self.table = HeardTable(clock=FakeClock(), changed=self.keys.append)


@virtual
async def test_statements_are_counted_by_system() -> None:
    told = Told()
    for number in range(3):
        told.table.heard(pod(number), Load(), says(UP))
    told.table.heard(pod(0, OTHER), Load(), says(DOWN, "canned"))
    told.table.heard(pod(2), Load(), says(DOWN))

    assert told.table.of(KEY) == Heard(
        FakeClock().now(), {"sim": {UP: 2, DOWN: 1}}, {"chat": {Choice("sim"): 3}}
    )
    assert told.table.of(OTHER).providers == {"sim": {DOWN: 1}}
    assert told.table.of(SystemKey("shop", "silent")).providers == {}


@virtual
async def test_a_system_is_due_only_when_what_follows_changes() -> None:
    told = Told()
    for number in range(100):
        told.table.heard(pod(number), Load(), says(UP))
    assert told.keys == [KEY]
    for _ in range(10):
        for number in range(100):
            told.table.heard(pod(number), Load(in_flight=number), says(UP))
    assert told.keys == [KEY]

    for number in range(100):  # one of them fails: impaired; half of them: down
        told.table.heard(pod(number), Load(), says(DOWN))
    assert told.keys == [KEY] * 3


@virtual
async def test_who_is_silent_for_ten_seconds_is_forgotten() -> None:
    told = Told()
    forgetting = asyncio.create_task(told.table.run())
    told.table.heard(pod(1), Load(), says(DOWN))
    await asyncio.sleep(5)
    told.table.heard(pod(2), Load(), says(UP))
    await asyncio.sleep(6.5)
    assert told.table.of(KEY).providers == {"sim": {UP: 1}}

    await asyncio.sleep(6)
    assert len(told.table) == 0
    assert told.table.of(KEY).providers == {}
    assert told.table.measures() == {}
    forgetting.cancel()


@virtual
async def test_who_begins_to_lead_begins_to_listen() -> None:
    told = Told()
    told.table.heard(pod(1), Load(), says(DOWN))
    await asyncio.sleep(60)
    began = FakeClock().now()
    told.table.begin()

    assert told.table.of(KEY) == Heard(began)
    told.table.heard(pod(1), Load(), says(UP))
    assert told.table.of(KEY).listening_since == began
    assert began - FakeClock().now() <= timedelta(0)


@virtual
async def test_loads_are_put_together_and_what_nobody_told_is_absent() -> None:
    told = Told()
    told.table.heard(pod(1), Load(in_flight=2, rate_per_s=1.5, p95_s=0.5, saturation=0.1), Said())
    told.table.heard(pod(2), Load(in_flight=3, p95_s=0.25), Said())
    told.table.heard(pod(3), Load(), Said())

    assert told.table.measures() == {
        "in_flight": 5.0,
        "rate_per_s": 1.5,
        "p95_s": 0.5,
        "saturation": 0.1,
    }


@virtual
async def test_a_pod_cannot_fill_the_table_with_names() -> None:
    told = Told()
    for batch in range(100):
        names = [f"p{batch}-{n}" for n in range(20)]
        told.table.heard(pod(batch), Load(), Said(dict.fromkeys(names, UP)))

    assert len(told.table.of(KEY).providers) == NAMES_MAX
