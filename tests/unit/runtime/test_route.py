"""A chain is tried in order, and only until something of an answer has been passed on."""

from collections.abc import AsyncGenerator

import pytest

from agent_runtime.providers.base import Answer, Chunk, ErrorClass, Prompt, ProviderError
from agent_runtime.providers.route import TRY_NEXT, Route
from tests.unit.runtime.streams import until

ASKED = Prompt("front", [{"role": "user", "content": "hello"}])


class Fake:
    """Answers its own name, or fails as told: before the first piece or after it."""

    def __init__(self, name: str, fails: ErrorClass | None = None, *, after: int = 0) -> None:
        self.name = name
        self.fails = fails
        self.after = after
        self.calls = 0
        self.closed = 0

    async def complete(self, prompt: Prompt) -> Answer:
        self.calls += 1
        if self.fails:
            raise ProviderError(self.fails, self.name, f"{self.name} failed")
        return Answer({"role": "assistant", "content": self.name}, "stop", {})

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        self.calls += 1
        try:
            for _ in range(self.after):
                yield Chunk({"content": self.name})
            if self.fails:
                raise ProviderError(self.fails, self.name, f"{self.name} failed")
            yield Chunk({"content": self.name}, "stop")
        finally:
            self.closed += 1


async def streamed(route: Route) -> list[str]:
    return [chunk.delta["content"] async for chunk in route.stream(ASKED)]


@pytest.mark.parametrize("error", sorted(TRY_NEXT))
async def test_the_next_provider_answers_when_one_is_unavailable(error: ErrorClass) -> None:
    chain = [Fake("a", error), Fake("b"), Fake("c")]
    assert (await Route(chain).complete(ASKED)).message["content"] == "b"
    assert await streamed(Route(chain)) == ["b"]
    assert [fake.calls for fake in chain] == [2, 2, 0]


@pytest.mark.parametrize("error", sorted(set(ErrorClass) - TRY_NEXT))
async def test_other_failures_end_the_chain(error: ErrorClass) -> None:
    chain = [Fake("a", error), Fake("b")]
    with pytest.raises(ProviderError, match="a failed"):
        await Route(chain).complete(ASKED)
    with pytest.raises(ProviderError, match="a failed"):
        await streamed(Route(chain))
    assert chain[1].calls == 0


async def test_after_the_first_piece_no_other_provider_is_asked() -> None:
    chain = [Fake("a", ErrorClass.CONNECT, after=1), Fake("b")]
    seen, failure = await until(ProviderError, Route(chain).stream(ASKED))
    assert (seen, failure.provider, chain[1].calls) == ([Chunk({"content": "a"})], "a", 0)


async def test_the_last_failure_is_told_when_nobody_answers() -> None:
    chain = [Fake("a", ErrorClass.TIMEOUT), Fake("b", ErrorClass.CONNECT)]
    with pytest.raises(ProviderError, match="b failed"):
        await Route(chain).complete(ASKED)


async def test_a_missing_key_is_told_before_any_other_failure() -> None:
    chain = [Fake("a", ErrorClass.KEY_MISSING), Fake("b", ErrorClass.CONNECT)]
    with pytest.raises(ProviderError, match="a failed"):
        await streamed(Route(chain))


async def test_a_stream_that_is_given_up_is_closed_at_once() -> None:
    fake = Fake("a", after=5)
    stream = Route([fake]).stream(ASKED)
    assert (await anext(stream)).delta == {"content": "a"}
    await stream.aclose()
    assert fake.closed == 1
