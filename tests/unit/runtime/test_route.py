"""A chain is tried in order, again where that may help, and only until something was passed on."""

from collections.abc import AsyncGenerator, Sequence

import pytest

from agent_runtime.providers import route as routes
from agent_runtime.providers.base import (
    Answer,
    Chunk,
    ErrorClass,
    Prompt,
    ProviderError,
    Texts,
    Vectors,
)
from agent_runtime.providers.failures import CONDUCT
from agent_runtime.providers.route import Pace, Route
from tests.unit.runtime.streams import until

ASKED = Prompt("front", [{"role": "user", "content": "hello"}])
TRY_NEXT = sorted(c for c, conduct in CONDUCT.items() if conduct.fall_back)
ENDS = sorted(c for c, conduct in CONDUCT.items() if not conduct.fall_back)
PASSING = sorted(c for c, conduct in CONDUCT.items() if conduct.retry)
LASTING = sorted(set(TRY_NEXT) - set(PASSING))


class Time:
    """Virtual time, and dice that always fall the same way."""

    def __init__(self, roll: float = 1.0) -> None:
        self.now = 0.0
        self.roll = roll
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    @property
    def pace(self) -> Pace:
        return Pace(lambda: self.now, self.sleep, lambda: self.roll)


class Fake:
    """Answers its own name, or fails as told: before the first piece or after it."""

    def __init__(
        self,
        name: str,
        fails: ErrorClass | None = None,
        *,
        after: int = 0,
        times: int = 99,
        retry_after_s: float | None = None,
    ) -> None:
        self.name = name
        self.fails = fails
        self.after = after
        self.times = times
        self.retry_after_s = retry_after_s
        self.calls = 0
        self.closed = 0

    def _fail(self) -> None:
        if self.fails and self.calls <= self.times:
            text = f"{self.name} failed"
            raise ProviderError(self.fails, self.name, text, retry_after_s=self.retry_after_s)

    async def complete(self, prompt: Prompt) -> Answer:
        self.calls += 1
        self._fail()
        return Answer({"role": "assistant", "content": self.name}, "stop", {})

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        self.calls += 1
        try:
            for _ in range(self.after):
                yield Chunk({"content": self.name})
            self._fail()
            yield Chunk({"content": self.name}, "stop")
        finally:
            self.closed += 1

    async def embed(self, texts: Texts) -> Vectors:
        self.calls += 1
        self._fail()
        return Vectors([self.name for _ in texts.inputs], {})


async def answered(chain: Sequence[Fake], time: Time, *, streaming: bool) -> str:
    route = Route(chain, time.pace)
    if streaming:
        return "".join([chunk.delta["content"] async for chunk in route.stream(ASKED)])
    return str((await route.complete(ASKED)).message["content"])


both = pytest.mark.parametrize("streaming", [False, True])


@both
@pytest.mark.parametrize("error", TRY_NEXT)
async def test_the_next_provider_answers_at_once_when_one_is_unavailable(
    error: ErrorClass, *, streaming: bool
) -> None:
    chain, time = [Fake("a", error), Fake("b"), Fake("c")], Time()
    assert await answered(chain, time, streaming=streaming) == "b"
    assert ([fake.calls for fake in chain], time.pauses) == ([1, 1, 0], [])


@both
@pytest.mark.parametrize("error", ENDS)
async def test_a_request_at_fault_and_a_broken_answer_end_the_chain(
    error: ErrorClass, *, streaming: bool
) -> None:
    chain = [Fake("a", error), Fake("b")]
    with pytest.raises(ProviderError, match="a failed"):
        await answered(chain, Time(), streaming=streaming)
    assert chain[1].calls == 0


@both
@pytest.mark.parametrize("error", PASSING)
async def test_what_passes_is_tried_again_after_growing_pauses(
    error: ErrorClass, *, streaming: bool
) -> None:
    chain, time = [Fake("a", error, times=2)], Time()
    assert await answered(chain, time, streaming=streaming) == "a"
    assert time.pauses == [0.5, 1.0]


@both
@pytest.mark.parametrize("error", LASTING)
async def test_what_lasts_is_not_tried_again(error: ErrorClass, *, streaming: bool) -> None:
    chain, time = [Fake("a", error, times=1)], Time()
    with pytest.raises(ProviderError, match="a failed"):
        await answered(chain, time, streaming=streaming)
    assert (chain[0].calls, time.pauses) == (1, [])


async def test_a_pause_has_full_jitter() -> None:
    time = Time(roll=0.1)
    await answered([Fake("a", ErrorClass.CONNECT, times=2)], time, streaming=False)
    assert time.pauses == [0.05, 0.1]


async def test_the_rounds_are_bounded() -> None:
    chain, time = [Fake("a", ErrorClass.CONNECT), Fake("b", ErrorClass.OVERLOADED)], Time()
    with pytest.raises(ProviderError, match="b failed"):
        await answered(chain, time, streaming=False)
    assert [fake.calls for fake in chain] == [routes.ROUNDS, routes.ROUNDS]


async def test_a_provider_is_not_asked_before_it_said_that_it_may_be() -> None:
    time = Time()
    soon = Fake("soon", ErrorClass.RATE_LIMITED, times=1, retry_after_s=3)
    late = Fake("late", ErrorClass.RATE_LIMITED, times=1, retry_after_s=9)
    assert await answered([late, soon], time, streaming=False) == "soon"
    assert (time.pauses, late.calls) == ([3], 1)


async def test_nobody_waits_longer_than_a_caller_would() -> None:
    chain, time = [Fake("a", ErrorClass.RATE_LIMITED, retry_after_s=6)], Time()
    with pytest.raises(ProviderError, match="a failed") as caught:
        await answered(chain, time, streaming=False)
    assert (caught.value.retry_after_s, time.pauses) == (6, [])


class Slow(Fake):
    """Takes its time before it fails."""

    def __init__(self, time: Time, seconds: float) -> None:
        super().__init__("slow", ErrorClass.OVERLOADED)
        self._time = time
        self._seconds = seconds

    def _fail(self) -> None:
        self._time.now += self._seconds
        super()._fail()


async def test_no_round_begins_when_the_time_for_it_is_over() -> None:
    time = Time()
    chain = [Slow(time, routes.WITHIN_S - 0.6)]
    with pytest.raises(ProviderError, match="slow failed"):
        await answered(chain, time, streaming=False)
    assert chain[0].calls == 2


async def test_after_the_first_piece_no_provider_is_asked_again() -> None:
    chain = [Fake("a", ErrorClass.CONNECT, after=1), Fake("b")]
    seen, failure = await until(ProviderError, Route(chain).stream(ASKED))
    assert (seen, failure.provider) == ([Chunk({"content": "a"})], "a")
    assert [fake.calls for fake in chain] == [1, 0]


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        (ErrorClass.TIMEOUT, ErrorClass.QUOTA_EXHAUSTED, "b failed"),
        (ErrorClass.KEY_MISSING, ErrorClass.CONNECT, "a failed"),
        (ErrorClass.CONTEXT_TOO_LONG, ErrorClass.CONNECT, "a failed"),
        (ErrorClass.AUTH, ErrorClass.CIRCUIT_OPEN, "a failed"),
        (ErrorClass.CIRCUIT_OPEN, ErrorClass.CIRCUIT_OPEN, "b failed"),
    ],
)
async def test_the_failure_worth_telling_is_told(
    first: ErrorClass, last: ErrorClass, told: str
) -> None:
    with pytest.raises(ProviderError, match=told):
        await answered([Fake("a", first), Fake("b", last)], Time(), streaming=False)


async def test_a_stream_that_is_given_up_is_closed_at_once() -> None:
    fake = Fake("a", after=5)
    stream = Route([fake]).stream(ASKED)
    assert (await anext(stream)).delta == {"content": "a"}
    await stream.aclose()
    assert fake.closed == 1
