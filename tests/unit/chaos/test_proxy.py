"""The chaos proxy does to a request what its script says, and nothing else."""

from __future__ import annotations

import asyncio

import aiohttp
import orjson
import pytest

from tests.chaos.faults import (
    Answer,
    Delay,
    Fault,
    HalfAnswer,
    Hang,
    RequestScript,
    Reset,
    Signal,
    at_write,
)
from tests.fakes.virtual_time import virtual
from tests.unit.chaos.apiserver import CONFIG_MAPS, LEASES, proxied

BROKEN = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError)


def always(fault: Fault) -> RequestScript:
    return lambda _: fault


@virtual
async def test_without_a_script_everything_passes_both_ways_unchanged() -> None:
    async with proxied() as client:
        status, text = await client.get(f"{CONFIG_MAPS}?labelSelector=a%3Db%2Cc")
        assert (status, orjson.loads(text)) == (200, {"metadata": {"resourceVersion": 5}})
        assert await client.apply("one") == 201
        assert client.apiserver.asked == [
            f"GET {CONFIG_MAPS}?labelSelector=a%3Db%2Cc",
            f"PATCH {CONFIG_MAPS}/one {{}}",
        ]


@virtual
async def test_writes_are_numbered_and_leases_and_reads_are_not() -> None:
    async with proxied() as client:
        await client.get(CONFIG_MAPS)
        await client.apply("one")
        await client.apply("agentsystem-shard-0", LEASES)
        await client.apply("two")
        found = [(e.asked.number, e.asked.write) for e in client.proxy.record.entries]
        assert found == [(1, 0), (2, 1), (3, 0), (4, 2)]
        assert [str(e.asked) for e in client.proxy.record.writes()] == [
            "patch configmaps shop/one",
            "patch configmaps shop/two",
        ]


@virtual
async def test_an_answer_of_the_proxy_never_reaches_the_apiserver() -> None:
    async with proxied() as client:
        client.proxy.script = always(Answer(429, "TooManyRequests", retry_after_s=3))
        async with client.http.get(client.proxy.url + CONFIG_MAPS) as answer:
            body = await answer.json()
        assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
        assert (body["kind"], body["code"], body["reason"]) == ("Status", 429, "TooManyRequests")
        assert client.apiserver.asked == []
        assert [e.replied for e in client.proxy.record.entries] == [429]


@virtual
async def test_a_delay_is_a_delay_and_the_write_is_done() -> None:
    async with proxied() as client:
        client.proxy.script = always(Delay(7))
        began = asyncio.get_running_loop().time()
        assert await client.apply("one") == 201
        assert asyncio.get_running_loop().time() - began >= 7


@virtual
async def test_a_hanging_request_is_never_forwarded() -> None:
    async with proxied() as client:
        client.proxy.script = always(Hang())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await client.apply("one")
        assert client.apiserver.asked == []


@virtual
async def test_a_reset_breaks_the_connection_before_or_after_the_apiserver_did_it() -> None:
    async with proxied() as client:
        client.proxy.script = at_write(1, Reset())
        with pytest.raises(BROKEN):
            await client.apply("before")
        assert client.apiserver.asked == []
        client.proxy.script = at_write(2, Reset(after_commit=True))
        with pytest.raises(BROKEN):
            await client.apply("after")
        assert client.apiserver.asked == [f"PATCH {CONFIG_MAPS}/after {{}}"]
        assert [(e.upstream, e.replied) for e in client.proxy.record.entries] == [
            (None, None),
            (201, None),
        ]


@virtual
async def test_half_an_answer_is_seen_as_broken_and_counted_as_done() -> None:
    async with proxied() as client:
        client.proxy.script = always(HalfAnswer())
        with pytest.raises(BROKEN):
            await client.apply("one")
        assert [e.is_committed for e in client.proxy.record.entries] == [True]


@virtual
async def test_a_signal_strikes_once_at_its_write_and_the_caller_hears_nothing() -> None:
    async with proxied() as client:
        struck: list[str] = []

        async def signalled(name: str) -> None:
            struck.append(name)

        client.proxy.signalled = signalled
        for after_commit in (False, True):
            first = client.proxy.record.written
            client.proxy.script = at_write(first + 2, Signal("kill", after_commit=after_commit))
            assert await client.apply("one") == 201
            with pytest.raises(BROKEN):
                await client.apply("two")
            assert await client.apply("three") == 201
        assert struck == ["kill", "kill"]
        assert [e.is_committed for e in client.proxy.record.entries] == [
            *(True, False, True),
            *(True, True, True),
        ]


@virtual
async def test_the_death_of_the_caller_cuts_neither_the_signal_nor_the_write_short() -> None:
    async with proxied() as client:
        done = asyncio.Event()

        async def signalled(_: str) -> None:
            await client.http.close()  # as a killed process does
            await asyncio.sleep(1)
            done.set()

        client.proxy.signalled = signalled
        client.proxy.script = at_write(1, Signal("kill", after_commit=True))
        with pytest.raises(BROKEN):
            await client.apply("one")
        async with asyncio.timeout(5):
            await done.wait()
        assert [e.is_committed for e in client.proxy.record.entries] == [True]


@virtual
async def test_chance_depends_on_the_seed_and_the_request_not_on_the_order() -> None:
    async def rolls(seed: int, *order: str) -> dict[str, float]:
        async with proxied(seed=seed) as client:
            for name in order:
                await client.apply(name)
            return {e.asked.name: e.asked.roll for e in client.proxy.record.entries}

    assert await rolls(1, "one", "two") == await rolls(1, "two", "one")
    assert await rolls(1, "one", "two") != await rolls(2, "one", "two")


@virtual
async def test_a_half_open_connection_stays_silent_and_a_new_one_works() -> None:
    async with proxied() as client:
        assert (await client.get(CONFIG_MAPS))[0] == 200
        client.proxy.half_open()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await client.get(CONFIG_MAPS)
        assert (await client.get(CONFIG_MAPS))[0] == 200
        assert len(client.apiserver.asked) == 2


@virtual
async def test_an_apiserver_that_is_away_is_a_broken_connection() -> None:
    async with proxied() as client:
        await client.upstream.cleanup()
        with pytest.raises(BROKEN):
            await client.get(CONFIG_MAPS)


@virtual
async def test_a_frozen_view_shows_old_lists_and_live_objects_until_it_thaws() -> None:
    async with proxied() as client:
        old = await client.get(CONFIG_MAPS)
        past = await client.proxy.snapshot()
        client.apiserver.version = 9
        client.proxy.view.freeze(past)
        assert await client.get(CONFIG_MAPS) == old
        assert '"resourceVersion": 9' in (await client.get(f"{CONFIG_MAPS}/one"))[1]
        assert await client.apply("one") == 201
        watching = asyncio.create_task(client.watch())
        await asyncio.sleep(60)
        assert not watching.done()
        client.proxy.view.thaw()
        assert len(await watching) == 3
        assert '"resourceVersion": 9' in (await client.get(CONFIG_MAPS))[1]
