"""The runtime's client against the operator's server: redirects, cuts, silence, no operator."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from agent_runtime.channel import client as runtime_client
from agent_runtime.channel import link
from agent_runtime.channel import report as wire
from agent_runtime.channel.client import pause_s
from agentsystem_operator.adapters.channel import authority
from agentsystem_operator.api.reasons import ProviderState
from agentsystem_operator.model.heard import Choice, Load, Said, Statement
from agentsystem_operator.shell.clock import SystemClock
from tests.contract.channel import rig
from tests.contract.channel.rig import Role, Signer

pytestmark = pytest.mark.usefixtures("_names")
LOAD = wire.Load(in_flight=2, rate_per_second=1.5, saturation=0.25)


async def quiet() -> wire.Report:
    return wire.Report(LOAD)


async def test_what_a_pod_says_arrives_once_a_second(tmp_path: Path, signer: Signer) -> None:
    told = wire.Report(
        LOAD,
        (wire.ProviderNow("sim", "Down", "connect", recent=True),),
        (wire.RouteNow("chat", "canned"),),
    )
    async with rig.operator(signer) as operator:
        folder = rig.place(tmp_path, operator, signer.token())
        async with rig.client(folder, rig.always(told)):
            await operator.ear.until(lambda: len(operator.ear.reports) >= 3)

        speaker, load, said = operator.ear.reports[-1]
        assert (speaker.system.name, speaker.agent) == ("team", "front")
        assert load == Load(in_flight=2, rate_per_s=1.5, saturation=0.25)
        assert said == Said(
            {"sim": Statement(ProviderState.DOWN, "connect", recent=True)},
            {"chat": Choice("canned")},
        )


async def test_a_change_is_told_at_once_and_no_more_often_than_it_is_heard(
    tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "REPORT_EVERY_S", 60.0)  # so that only changes are told
    async with rig.operator(signer) as operator:
        folder = rig.place(tmp_path, operator, signer.token())
        async with rig.client(folder, quiet) as client:
            await operator.ear.until(lambda: len(operator.ear.reports) == 1)
            began = time.monotonic()
            client.changed()
            await operator.ear.until(lambda: len(operator.ear.reports) == 2)
            for _ in range(100):
                client.changed()
                await asyncio.sleep(0.01)
            took = time.monotonic() - began

        assert 4 <= len(operator.ear.reports) <= 2 + took / link.CHANGES_APART_S
        assert operator.ear.refused == []


async def test_a_follower_sends_a_pod_to_the_leader(tmp_path: Path, signer: Signer) -> None:
    by = authority.make(SystemClock().now())
    async with rig.operator(signer, by=by) as leader:
        role = Role(may_write=False, leader_address=leader.address)
        async with rig.operator(signer, by=by, role=role) as follower:
            folder = rig.place(tmp_path, follower, signer.token())
            async with rig.client(folder, quiet):
                await leader.ear.until(lambda: bool(leader.ear.reports))

            assert follower.ear.reports == []


async def test_a_pod_moves_when_the_leader_changes(tmp_path: Path, signer: Signer) -> None:
    by = authority.make(SystemClock().now())
    async with rig.operator(signer, by=by) as first, rig.operator(signer, by=by) as second:
        second.role.may_write = False
        folder = rig.place(tmp_path, first, signer.token())
        async with rig.client(folder, quiet):
            await first.ear.until(lambda: bool(first.ear.reports))
            first.role.may_write, second.role.may_write = False, True
            first.role.leader_address = second.address

            await second.ear.until(lambda: bool(second.ear.reports))


async def test_two_followers_that_name_each_other_are_not_asked_for_ever(
    tmp_path: Path, signer: Signer
) -> None:
    role = Role(may_write=False)
    async with rig.operator(signer, role=role) as follower:
        role.leader_address = follower.address
        folder = rig.place(tmp_path, follower, signer.token())
        rests: list[float] = []

        async def rest(seconds: float) -> None:
            rests.append(seconds)
            follower.ear.news.set()
            await asyncio.sleep(0.01)

        client = runtime_client.Client(folder, quiet, runtime_client.Pace(rest, lambda: 1.0))
        running = asyncio.create_task(client.run())
        await follower.ear.until(lambda: len(rests) >= 5)
        running.cancel()

        assert rests[:5] == [0.5, 1.0, 2.0, 4.0, 5.0]


async def test_a_cut_connection_is_made_again(tmp_path: Path, signer: Signer) -> None:
    async with rig.operator(signer) as operator:
        folder = rig.place(tmp_path, operator, signer.token())
        async with rig.client(folder, quiet):
            await operator.ear.until(lambda: bool(operator.ear.reports))
            (session,) = operator.desk.open
            session.abort()
            before = len(operator.ear.reports)

            await operator.ear.until(lambda: len(operator.ear.reports) > before + 1)


async def test_an_operator_that_comes_back_with_another_authority_is_found(
    tmp_path: Path, signer: Signer
) -> None:
    async with rig.operator(signer) as operator:
        folder, port = rig.place(tmp_path, operator, signer.token()), operator.port
    async with rig.client(folder, quiet):
        await asyncio.sleep(0.3)  # nobody is there
        async with rig.operator(signer, port=port) as operator:
            await asyncio.sleep(0.3)  # somebody is, whom the pod has no reason to trust
            assert operator.ear.reports == []
            rig.place(tmp_path, operator, signer.token())

            await operator.ear.until(lambda: bool(operator.ear.reports))


async def test_an_operator_that_takes_nothing_any_more_is_left(
    tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half open, as when a node is gone: no byte and no end comes back from there."""
    monkeypatch.setattr(link, "TAKEN_S", 0.5)
    monkeypatch.setattr(link, "CHANGES_APART_S", 0.0)
    monkeypatch.setattr(link, "REPORT_EVERY_S", 0.0)  # so that buffers are full in a moment
    large = wire.Report(LOAD, tuple(wire.ProviderNow(f"p{n}", "Down") for n in range(20)))
    async with rig.operator(signer, lines_per_s=1e6) as operator:
        folder = rig.place(tmp_path, operator, signer.token())
        async with rig.client(folder, rig.always(large)):
            await operator.ear.until(lambda: bool(operator.ear.reports))
            (stuck,) = operator.desk.open
            stuck._link.hold()
            before = len(operator.ear.reports)

            await operator.ear.until(lambda: len(operator.ear.reports) > before, within_s=30)
            assert operator.desk.proved != {"uid-front-1": stuck}


async def test_a_pod_without_a_channel_asks_for_one_now_and_then(tmp_path: Path) -> None:
    rests: list[float] = []
    enough = asyncio.Event()

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 20:
            enough.set()
        await asyncio.sleep(0)

    pace = runtime_client.Pace(rest, lambda: 1.0)
    running = asyncio.create_task(runtime_client.Client(tmp_path, quiet, pace).run())
    await enough.wait()
    running.cancel()

    assert rests[-1] == runtime_client.PAUSE_MAX_S


@pytest.mark.parametrize(
    ("faults", "chance", "rest"),
    [(1, 1.0, 0.5), (3, 0.5, 1.0), (4, 1.0, 4.0), (5, 1.0, 5.0), (10_000, 1.0, 5.0), (9, 0.0, 0)],
)
def test_pauses_double_up_to_a_bound_with_full_jitter(
    faults: int, chance: float, rest: float
) -> None:
    assert pause_s(faults, chance) == rest
