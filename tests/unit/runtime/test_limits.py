"""A provider is asked no more often than its limits allow; who waits too long is turned away."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from agent_runtime.app import errors
from agent_runtime.providers import tokens
from agent_runtime.providers.base import (
    Answer,
    Chunk,
    ErrorClass,
    Json,
    Prompt,
    ProviderError,
    Texts,
    Vectors,
)
from agent_runtime.providers.breaker import Breaker, Guarded, State
from agent_runtime.providers.limited import Limited
from agent_runtime.providers.limits import Bucket, LimitReached, Limits, LocalLimiter, Turn
from agent_runtime.providers.route import Route
from tests.unit.runtime.test_route import Fake, Time

HELLO: Json = {"role": "user", "content": "hell"}  # 2 tokens, roughly
ASKED = Prompt("front", [HELLO])


class Still(Time):
    """Everybody sleeps, and it is the same moment nevertheless."""

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


def limiter(time: Time, **limits: int) -> LocalLimiter:
    return LocalLimiter(Limits(**limits), clock=lambda: time.now, sleep=time.sleep)


def test_a_bucket_holds_a_minute_s_worth_and_fills_evenly() -> None:
    bucket = Bucket(60, 0.0)
    assert bucket.wait_s(60, 0.0) == 0.0
    bucket.take(60)
    assert [bucket.wait_s(cost, 0.0) for cost in (1, 2)] == [1.0, 2.0]
    assert bucket.wait_s(30, 20.0) == 10.0
    assert bucket.wait_s(60, 500.0) == 0.0


def test_what_is_more_than_a_bucket_holds_costs_all_of_it() -> None:
    bucket = Bucket(60, 0.0)
    assert bucket.wait_s(90, 0.0) == 0.0
    bucket.take(90)
    assert bucket.wait_s(1, 0.0) == 31.0


async def test_those_who_come_too_fast_get_their_turns_one_after_the_other() -> None:
    time = Still()
    limited = limiter(time, requests_per_minute=60)
    for _ in range(60):
        await limited.turn(0, 2.0)
    assert time.pauses == []
    for _ in range(2):
        await limited.turn(0, 2.0)
    with pytest.raises(LimitReached) as caught:
        await limited.turn(0, 2.0)
    assert (time.pauses, caught.value.retry_after_s) == ([1.0, 2.0], 3.0)


async def test_tokens_are_taken_before_and_corrected_after() -> None:
    time = Time()
    limited = limiter(time, tokens_per_minute=600)
    turn = await limited.turn(500, 0.0)
    with pytest.raises(LimitReached) as caught:
        await limited.turn(200, 0.0)
    assert caught.value.retry_after_s == 10.0
    await turn.settle(100)
    await turn.settle(50)
    await (await limited.turn(550, 0.0)).settle(0)
    await limited.turn(550, 0.0)


class Gate:
    """Holds whoever sleeps until it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def sleep(self, _seconds: float) -> None:
        await self.opened.wait()


async def test_who_gives_up_while_waiting_gives_everything_back() -> None:
    gate = Gate()
    limited = LocalLimiter(Limits(None, 60, 60), clock=lambda: 0.0, sleep=gate.sleep)
    await limited.turn(60, 0.0)
    waiting = asyncio.create_task(limited.turn(1, 2.0))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    with pytest.raises(LimitReached) as caught:
        await limited.turn(1, 0.0)
    assert caught.value.retry_after_s == 1.0  # not 2


async def test_places_are_given_to_those_who_wait() -> None:
    limited = limiter(Time(), concurrency=1)
    first = await limited.turn(0, 1.0)
    waiting = asyncio.create_task(limited.turn(0, 60.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    await first.end()
    await (await waiting).end()


async def test_who_gets_no_place_in_time_gives_its_tokens_back() -> None:
    limited = limiter(Time(), concurrency=1, tokens_per_minute=60)
    first = await limited.turn(10, 0.0)
    with pytest.raises(LimitReached):
        await limited.turn(50, 0.0)
    await first.end()
    await limited.turn(50, 0.0)


class Ledger:
    """A limiter that writes down what it is told."""

    def __init__(self, *, full: bool = False) -> None:
        self.full = full
        self.told: list[object] = []

    async def turn(self, tokens: int, _within_s: float) -> Turn:
        if self.full:
            raise LimitReached(7.0)
        self.told.append(tokens)
        return self

    async def settle(self, tokens: int) -> None:
        self.told.append(tokens)

    async def end(self) -> None:
        self.told.append("end")


class Billing(Fake):
    """Tells what its answers cost."""

    def __init__(self, name: str, fails: ErrorClass | None = None, *, after: int = 0) -> None:
        super().__init__(name, fails, after=after)
        self.usage: Json = {"total_tokens": 9}

    async def complete(self, prompt: Prompt) -> Answer:
        answer = await super().complete(prompt)
        return Answer(answer.message, "stop", self.usage)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        async for chunk in super().stream(prompt):
            yield Chunk(chunk.delta, chunk.finish_reason, self.usage)

    async def embed(self, texts: Texts) -> Vectors:
        return Vectors((await super().embed(texts)).vectors, self.usage)


async def ask(limited: Limited, how: str, **options: int) -> None:
    prompt = Prompt("front", [HELLO], options)
    if how == "stream":
        assert [chunk async for chunk in limited.stream(prompt)]
    elif how == "embed":
        await limited.embed(Texts("front", ["hell", [1, 2, 3]]))
    else:
        await limited.complete(prompt)


def wrapped(inner: Fake, ledger: Ledger) -> tuple[Limited, list[str]]:
    refused: list[str] = []
    return Limited("p", inner, ledger, lambda: refused.append("refused")), refused


@pytest.mark.parametrize(
    ("how", "options", "estimate"),
    [
        ("complete", {}, 2),
        ("complete", {"max_tokens": 5}, 7),
        ("stream", {"max_completion_tokens": 8}, 10),
        ("embed", {}, 5),
    ],
)
async def test_an_answer_is_settled_by_what_it_cost(
    how: str, options: dict[str, int], estimate: int
) -> None:
    ledger = Ledger()
    await ask(wrapped(Billing("p"), ledger)[0], how, **options)
    assert ledger.told == [estimate, 9, "end"]


@pytest.mark.parametrize("how", ["complete", "stream", "embed"])
async def test_a_failure_that_costs_nothing_gives_the_tokens_back(how: str) -> None:
    for error, settled in ((ErrorClass.OVERLOADED, [0]), (ErrorClass.TIMEOUT, [])):
        ledger = Ledger()
        with pytest.raises(ProviderError):
            await ask(wrapped(Billing("p", error), ledger)[0], how)
        assert ledger.told[1:] == [*settled, "end"]


async def test_a_stream_that_is_given_up_leaves_its_place() -> None:
    ledger = Ledger()
    stream = wrapped(Billing("p", after=5), ledger)[0].stream(ASKED)
    await anext(stream)
    await stream.aclose()
    assert ledger.told[-1] == "end"


async def test_an_answer_that_tells_no_cost_is_left_as_it_was_reckoned() -> None:
    ledger, inner = Ledger(), Billing("p")
    inner.usage = {}
    await ask(wrapped(inner, ledger)[0], "complete")
    assert ledger.told == [2, "end"]


async def test_who_is_turned_away_is_left_to_the_next_provider() -> None:
    inner, other = Billing("p"), Fake("next")
    limited, refused = wrapped(inner, Ledger(full=True))
    answer = await Route([limited, other]).complete(ASKED)
    assert (answer.message["content"], inner.calls, refused) == ("next", 0, ["refused"])


async def test_when_nobody_else_can_answer_the_client_is_told_when_to_come_again() -> None:
    limited, _ = wrapped(Billing("p"), Ledger(full=True))
    with pytest.raises(ProviderError) as caught:
        await Route([limited]).complete(ASKED)
    told = errors.of(caught.value)
    assert (told.status, told.code, told.headers) == (
        429, "rate_limit_exceeded", {"retry-after": "7"},
    )  # fmt: skip
    broken = Fake("next", ErrorClass.SERVER_ERROR)
    with pytest.raises(ProviderError, match="next failed"):
        await Route([limited, broken], Time().pace).complete(ASKED)


async def test_a_limit_that_is_reached_says_nothing_about_the_breaker() -> None:
    ledger, inner = Ledger(), Fake("p", ErrorClass.SERVER_ERROR)
    breaker = Breaker(clock=lambda: 10.0)
    guarded = Guarded("p", wrapped(inner, ledger)[0], breaker)
    for full in (False, False, False, False, True, False):
        ledger.full = full
        with pytest.raises(ProviderError):
            await guarded.complete(ASKED)
    assert breaker.state is State.OPEN


@pytest.mark.parametrize(
    ("text", "want"), [("", 1), ("four letters", 4), ("\u4f60\u597d\u5417", 3), ([5, 6], 2)]
)
def test_tokens_are_reckoned_roughly(text: str | list[int], want: int) -> None:
    assert tokens.rough(text) == want
