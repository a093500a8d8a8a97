"""Single flight: a crowd that asks the same asks a model once, and nobody shares a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from agent_runtime.cache.flights import Flights
from agent_runtime.providers.base import ErrorClass, ProviderError
from agent_runtime.providers.receipt import Cache
from tests.unit.runtime.remembered import TOLD, Model, Pod, Pool, prompt

HIT, MISS, JOINED = Cache.HIT, Cache.MISS, Cache.JOINED


async def settle() -> None:
    """Let everybody go on until they wait for something."""
    for _ in range(20):
        await asyncio.sleep(0)


async def crowd(pod: Pod, size: int = 10) -> list[asyncio.Task[tuple[str, Cache | None]]]:
    """Return tasks that ask the same, as streams and whole, and wait; the first one leads."""
    tasks = []
    for number in range(size):
        tasks.append(asyncio.create_task(pod.ask() if number % 2 == 0 else pod.read()))
        await settle()
    return tasks


async def test_a_crowd_is_answered_by_one_call() -> None:
    model = Model(gate=asyncio.Event())
    pod = Pod(model, shared=Pool())
    tasks = await crowd(pod)
    assert model.gate
    model.gate.set()
    assert await asyncio.gather(*tasks) == [("answer 1", MISS), *[("answer 1", JOINED)] * 9]
    assert model.asked == 1
    assert await pod.ask() == ("answer 1", HIT)
    assert pod.metric("agent_cache_hits_total", agent="front", level="flight") == 9
    assert len(pod.answers.flights) == 0


async def test_a_stream_fills_the_cache_for_those_who_wait_with_honest_usage() -> None:
    model = Model(gate=asyncio.Event())
    pod = Pod(model)
    leader = asyncio.create_task(pod.read())
    await settle()
    follower = asyncio.create_task(pod.cached.complete(prompt()))
    await settle()
    assert model.gate
    model.gate.set()
    assert await leader == ("answer 1", MISS)
    assert (await follower).usage == TOLD


async def test_when_the_first_client_leaves_another_one_goes_on_for_all() -> None:
    model = Model(gate=asyncio.Event())
    pod = Pod(model)
    tasks = await crowd(pod)
    tasks[0].cancel()
    await settle()
    assert model.gate
    model.gate.set()
    found = await asyncio.gather(*tasks[1:])
    assert found == [("answer 2", MISS), *[("answer 2", JOINED)] * 8]
    assert model.asked == 2


async def test_when_the_client_of_a_stream_leaves_another_one_goes_on_for_all() -> None:
    model = Model()
    pod = Pod(model)
    stream = pod.cached.stream(prompt())
    async with aclosing(stream):
        await anext(stream)
        tasks = await crowd(pod, 4)
    found = await asyncio.gather(*tasks)
    assert found == [("answer 2", MISS), *[("answer 2", JOINED)] * 3]


@pytest.mark.parametrize(
    "failure", [ProviderError(ErrorClass.SERVER_ERROR, "p", "broken"), ValueError("a fault")]
)
async def test_when_the_first_one_fails_the_others_ask_for_themselves(failure: Exception) -> None:
    model = Model(gate=asyncio.Event(), failure=failure)
    pod = Pod(model)
    tasks = await crowd(pod, 4)
    assert model.gate
    model.gate.set()
    with pytest.raises(type(failure)):
        await tasks[0]
    found = await asyncio.gather(*tasks[1:])
    assert [text for text, _ in found] == ["answer 2"] * 3
    assert found[0][1] is MISS
    assert len(pod.answers.flights) == 0


async def test_an_answer_that_is_not_for_others_makes_each_ask_for_itself() -> None:
    model = Model(gate=asyncio.Event(), reason="length")
    tasks = await crowd(Pod(model), 5)
    assert model.gate
    model.gate.set()
    found = await asyncio.gather(*tasks)
    assert sorted(found) == [(f"answer {number}", MISS) for number in range(1, 6)]


async def test_who_waits_for_too_long_asks_for_itself() -> None:
    model = Model(gate=asyncio.Event())
    pod = Pod(model)
    pod.answers.flights = Flights(patience_s=0.0)
    leader, follower = await crowd(pod, 2)
    await settle()
    assert model.asked == 2
    assert model.gate
    model.gate.set()
    assert (await leader, await follower) == (("answer 1", MISS), ("answer 2", MISS))


async def test_who_wants_a_fresh_answer_waits_for_nobody() -> None:
    model = Model(gate=asyncio.Event())
    pod = Pod(model)
    leader = asyncio.create_task(pod.ask())
    await settle()
    asked = prompt()
    asked.receipt.may_look = False
    fresh = asyncio.create_task(pod.cached.complete(asked))
    await settle()
    assert model.asked == 2
    assert model.gate
    model.gate.set()
    await asyncio.gather(leader, fresh)


async def test_others_are_not_held_up_by_a_reader_that_has_the_last_piece() -> None:
    """The answer is known before the last piece is handed out."""
    pod = Pod()
    slow: AsyncGenerator[object, None] = pod.cached.stream(prompt())
    async with aclosing(slow):
        for _ in range(3):
            await anext(slow)
        assert await pod.ask() == ("answer 1", HIT)
