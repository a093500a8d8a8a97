"""Equal Events are sent once an hour, whatever the number of passes."""

from __future__ import annotations

import asyncio

import pytest

from agentsystem_operator import ports
from agentsystem_operator.model.evaluation import Event, EventType
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.model.system import System
from agentsystem_operator.shell import announcer as module
from agentsystem_operator.shell.announcer import Announcer
from agentsystem_operator.shell.memory import Memory
from tests.fakes.clock import FakeClock
from tests.fakes.cluster import FakeCluster
from tests.fakes.virtual_time import virtual

KEY = SystemKey("shop", "one")


def system(uid: str = "u1") -> System:
    return System(KEY, uid, 1, deleting=False, spec={})


class Speaker:
    """An announcer with the operator's memory."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.memory = Memory()
        self._announcer = Announcer(cluster, clock=FakeClock())

    async def announce(self, about: System, events: list[Event]) -> None:
        await self._announcer.announce(about, self.memory.of(about), events)


def event(message: str = "m") -> Event:
    return Event(EventType.NORMAL, "RollingOut", message, "Apply")


@virtual
async def test_an_equal_event_is_sent_once_an_hour() -> None:
    cluster = FakeCluster()
    announcer = Speaker(cluster)
    for _ in range(60):
        await announcer.announce(system(), [event()])
        await asyncio.sleep(59)
    assert len(cluster.writes) == 1
    await asyncio.sleep(120)
    await announcer.announce(system(), [event()])
    assert len(cluster.writes) == 2


@virtual
async def test_another_message_or_another_object_is_news() -> None:
    cluster = FakeCluster()
    announcer = Speaker(cluster)
    await announcer.announce(system(), [event(), event("n"), event()])
    await announcer.announce(system("u2"), [event()])
    assert len(cluster.writes) == 3


@virtual
async def test_what_was_said_about_a_system_is_forgotten_with_it() -> None:
    cluster = FakeCluster()
    announcer = Speaker(cluster)
    await announcer.announce(system(), [event()])
    announcer.memory.forget(KEY)
    await announcer.announce(system(), [event()])
    assert len(cluster.writes) == 2


@virtual
async def test_an_event_that_cannot_be_sent_is_no_fault_of_the_pass() -> None:
    cluster = FakeCluster()
    announcer = Speaker(cluster)
    cluster.faults = [ports.Refused("quota", status=403), ports.Gone("no namespace")]
    await announcer.announce(system(), [event(), event("n"), event("o")])
    assert [sent.message for _, _, sent in cluster.events] == ["o"]


@virtual
async def test_what_is_remembered_is_bounded() -> None:
    cluster = FakeCluster()
    announcer = Speaker(cluster)
    many = [event(str(number)) for number in range(module.REMEMBERED_MAX + 1)]
    await announcer.announce(system(), many)
    cluster.writes.clear()
    await announcer.announce(system(), [many[-1], many[0]])
    assert len(cluster.writes) == 1


@virtual
async def test_an_apiserver_that_asks_for_patience_gets_it() -> None:
    cluster = FakeCluster()
    announcer = Speaker(cluster)
    cluster.faults = [ports.ClusterUnreachable("away")]
    await announcer.announce(system(), [event("m")])
    cluster.faults = [ports.ClusterUnreachable("429", retry_after_s=7)]
    with pytest.raises(ports.ClusterUnreachable):
        await announcer.announce(system(), [event("n")])
