"""The chaos proxy does to the events of a watch what its script says, and nothing else."""

from __future__ import annotations

import asyncio

import orjson

from tests.chaos.faults import (
    Cut,
    EventScript,
    Failed,
    Late,
    Rewound,
    Seen,
    Swapped,
    Twice,
    Twist,
)
from tests.fakes.virtual_time import virtual
from tests.unit.chaos.apiserver import Client, names, proxied


def at_event(nth: int, twist: Twist) -> EventScript:
    return lambda seen: twist if seen.nth == nth else None


async def watched(script: EventScript) -> list[bytes]:
    async with proxied() as client:
        client.proxy.streams.script = script
        return await client.watch()


@virtual
async def test_without_a_script_events_pass_as_they_are() -> None:
    async with proxied() as client:
        assert await client.watch() == client.apiserver.events


@virtual
async def test_a_script_sees_each_event_with_its_place() -> None:
    seen: list[Seen] = []
    async with proxied() as client:
        client.proxy.streams.script = seen.append
        await client.watch()
        await client.watch()
    assert [(s.stream, s.number, s.nth, s.type, s.name) for s in seen] == [
        *((1, 1, 1, "ADDED", "a"), (1, 2, 2, "ADDED", "b"), (1, 3, 3, "ADDED", "c")),
        *((2, 4, 1, "ADDED", "a"), (2, 5, 2, "ADDED", "b"), (2, 6, 3, "ADDED", "c")),
    ]


@virtual
async def test_events_are_late_with_all_behind_them() -> None:
    began = asyncio.get_running_loop().time()
    assert names(await watched(at_event(2, Late(60)))) == "abc"
    assert asyncio.get_running_loop().time() - began >= 60


@virtual
async def test_events_come_twice_or_in_another_order() -> None:
    assert names(await watched(at_event(2, Twice()))) == "abbc"
    assert names(await watched(at_event(1, Swapped()))) == "bac"
    assert names(await watched(at_event(3, Swapped()))) == "abc"


@virtual
async def test_a_swapped_event_does_not_wait_for_ever_for_the_next_one() -> None:
    async with proxied() as client:
        client.apiserver.ends = False
        client.proxy.streams.script = at_event(3, Swapped())
        assert names(await first(client, 3)) == "abc"


async def first(client: Client, count: int) -> list[bytes]:
    """Return the first lines of a watch that does not end."""
    lines = []
    async with client.http.get(f"{client.proxy.url}/api/v1/configmaps?watch=1") as answer:
        async for line in answer.content:
            lines.append(line)
            if len(lines) == count:
                break
    return lines


@virtual
async def test_a_rewind_tells_the_past_again_in_its_order() -> None:
    assert names(await watched(at_event(3, Rewound(2)))) == "abcbc"
    assert names(await watched(at_event(2, Rewound(9)))) == "ababc"


@virtual
async def test_a_cut_ends_the_stream_in_front_of_the_event() -> None:
    assert names(await watched(at_event(2, Cut()))) == "a"


@virtual
async def test_half_a_line_is_followed_by_the_end_of_the_connection() -> None:
    lines = await watched(at_event(2, Cut(half_line=True)))
    assert lines[-1] == b"broken"
    # A client that is told of the break first may drop what it has not read yet.
    assert names([line for line in lines if line.endswith(b"\n")]) in ("", "a")


@virtual
async def test_a_failed_event_is_an_error_and_the_end() -> None:
    lines = await watched(at_event(2, Failed(410)))
    assert names(lines[:1]) == "a"
    error = orjson.loads(lines[1])
    assert (len(lines), error["type"], error["object"]["code"]) == (2, "ERROR", 410)


@virtual
async def test_a_shut_gate_holds_everything_and_an_open_one_lets_it_through_in_order() -> None:
    async with proxied() as client:
        gate = client.proxy.streams.gate
        gate.shut()
        watching = asyncio.create_task(client.watch())
        await asyncio.sleep(60)
        assert not watching.done()
        gate.open()
        assert names(await watching) == "abc"


@virtual
async def test_what_is_lost_at_the_gate_is_never_seen_and_the_stream_expires() -> None:
    async with proxied() as client:
        gate = client.proxy.streams.gate
        gate.shut()
        watching = asyncio.create_task(client.watch())
        await asyncio.sleep(60)
        gate.lose()
        (line,) = await watching
        assert orjson.loads(line)["object"]["code"] == 410
        assert names(await client.watch()) == "abc"
