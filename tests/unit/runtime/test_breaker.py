"""A provider that fails is left alone and probed; one that only refuses bad requests is not."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from agent_runtime.providers import breaker
from agent_runtime.providers.base import (
    Answer,
    Chunk,
    ErrorClass,
    Prompt,
    ProviderError,
    Texts,
    Vectors,
)
from agent_runtime.providers.breaker import Breaker, Guarded, State
from agent_runtime.providers.failures import CONDUCT
from tests.unit.runtime.streams import until

ASKED = Prompt("front", [{"role": "user", "content": "hello"}])
COUNTED = sorted(c for c, conduct in CONDUCT.items() if conduct.opens_breaker)
NOT_COUNTED = sorted(c for c, conduct in CONDUCT.items() if not conduct.opens_breaker)


class World:
    """A provider, its breaker, and virtual time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.fails: ErrorClass | None = None
        self.breaks_after = 0
        self.calls = 0
        self.hold: asyncio.Event | None = None
        self.told: list[State] = []
        self.breaker = Breaker(clock=lambda: self.now, changed=self.told.append)
        self.guarded = Guarded("p", self, self.breaker)

    async def complete(self, prompt: Prompt) -> Answer:
        self.calls += 1
        if self.hold:
            await self.hold.wait()
        if self.fails:
            raise ProviderError(self.fails, "p", "failed")
        return Answer({"content": "hi"}, "stop", {})

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        self.calls += 1
        for _ in range(self.breaks_after):
            yield Chunk({"content": "hi"})
        if self.fails:
            raise ProviderError(self.fails, "p", "failed")
        yield Chunk({}, "stop")

    async def embed(self, texts: Texts) -> Vectors:
        await self.complete(ASKED)
        return Vectors([[1.0] for _ in texts.inputs], {})

    async def ask(self, times: int = 1) -> list[str]:
        outcomes = []
        for _ in range(times):
            try:
                await self.guarded.complete(ASKED)
                outcomes.append("ok")
            except ProviderError as exc:
                outcomes.append(str(exc.error_class))
        return outcomes

    async def opened(self) -> "World":
        self.fails = ErrorClass.SERVER_ERROR
        await self.ask(breaker.ERRORS)
        assert self.breaker.state is State.OPEN
        return self


@pytest.mark.parametrize("error", COUNTED)
async def test_five_errors_in_a_row_open_it(error: ErrorClass) -> None:
    world = World()
    world.fails = error
    assert await world.ask(7) == [str(error)] * 5 + ["circuit_open"] * 2
    assert (world.calls, world.told) == (5, [State.OPEN])


@pytest.mark.parametrize("error", NOT_COUNTED)
async def test_what_says_nothing_about_the_provider_never_opens_it(error: ErrorClass) -> None:
    world = World()
    world.fails = error
    assert await world.ask(20) == [str(error)] * 20


async def test_an_answer_in_between_begins_the_count_anew() -> None:
    world = World()
    for _ in range(3):
        world.fails = ErrorClass.SERVER_ERROR
        await world.ask(4)
        world.fails = None
        await world.ask()
    assert world.told == []


async def test_three_errors_are_enough_when_they_last_a_second() -> None:
    world = World()
    world.fails = ErrorClass.TIMEOUT
    for world.now in (0.0, 0.5, 0.9):
        await world.ask()
    assert world.told == []
    world.now = 1.0
    await world.ask()
    assert world.told == [State.OPEN]


async def test_it_says_how_long_it_will_be_left_alone() -> None:
    world = await World().opened()
    world.now += 1
    with pytest.raises(ProviderError) as caught:
        await world.guarded.complete(ASKED)
    assert caught.value.retry_after_s == breaker.PROBE_AFTER_S - 1


async def test_one_request_is_the_probe_and_its_answer_closes_it() -> None:
    world = await World().opened()
    world.now += breaker.PROBE_AFTER_S
    world.fails, world.hold = None, asyncio.Event()
    probe = asyncio.create_task(world.ask())
    await asyncio.sleep(0)
    assert await world.ask(3) == ["circuit_open"] * 3
    world.hold.set()
    assert await probe == ["ok"]
    assert await world.ask(3) == ["ok"] * 3
    assert world.told == [State.OPEN, State.HALF_OPEN, State.CLOSED]


async def test_a_probe_that_fails_opens_it_for_as_long_again() -> None:
    world = await World().opened()
    world.now += breaker.PROBE_AFTER_S
    assert await world.ask(2) == ["server_error", "circuit_open"]
    world.now += breaker.PROBE_AFTER_S - 0.1
    assert await world.ask() == ["circuit_open"]
    world.now += 0.1
    world.fails = None
    assert await world.ask() == ["ok"]


async def test_a_probe_that_is_given_up_leaves_its_place_to_the_next_request() -> None:
    world = await World().opened()
    world.now += breaker.PROBE_AFTER_S
    world.fails, world.hold = None, asyncio.Event()
    probe = asyncio.create_task(world.ask())
    await asyncio.sleep(0)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    world.hold = None
    assert await world.ask() == ["ok"]


async def test_the_first_piece_of_a_probe_s_stream_closes_it() -> None:
    world = await World().opened()
    world.now += breaker.PROBE_AFTER_S
    world.fails, world.breaks_after = None, 3
    stream = world.guarded.stream(ASKED)
    await anext(stream)
    assert await world.ask() == ["ok"]
    await stream.aclose()
    assert world.breaker.state is State.CLOSED


async def test_streams_that_always_break_off_open_it() -> None:
    world = World()
    world.fails, world.breaks_after = ErrorClass.BROKEN, 1
    for _ in range(breaker.ERRORS):
        await until(ProviderError, world.guarded.stream(ASKED))
    assert world.breaker.state is State.OPEN


async def test_a_late_answer_of_an_earlier_request_closes_it() -> None:
    world = World()
    world.hold = asyncio.Event()
    early = asyncio.create_task(world.ask())
    await asyncio.sleep(0)
    hold, world.hold = world.hold, None
    await world.opened()
    world.fails = None
    hold.set()
    assert await early == ["ok"]
    assert world.breaker.state is State.CLOSED
