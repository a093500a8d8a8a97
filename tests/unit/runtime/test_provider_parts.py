"""The small parts of providers: event parser, token counts, key files, state changes in the log."""

import logging
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent_runtime.observability.metrics import Metrics
from agent_runtime.providers import tokens
from agent_runtime.providers.base import (
    Answer,
    Chunk,
    ErrorClass,
    Prompt,
    ProviderError,
    Texts,
    Vectors,
)
from agent_runtime.providers.keys import KeyFile
from agent_runtime.providers.sse import MAX_EVENT_BYTES, EventTooLong, SseParser
from agent_runtime.providers.watched import Watched

STREAM = (
    b": hello\r\ndata: one\r\n\r\nevent: x\ndata:two\ndata: three\n\n\n\nid: 7\n\ndata: four\n\n"
)
EVENTS = [b"one", b"two\nthree", b"four"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(STREAM)])
def test_events_are_found_however_the_bytes_arrive(size: int) -> None:
    parser = SseParser()
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [event for piece in pieces for event in parser.feed(piece)] == EVENTS


def test_an_event_without_end_is_given_up() -> None:
    parser = SseParser()
    with pytest.raises(EventTooLong):
        parser.feed(b"data: " + b"x" * (MAX_EVENT_BYTES + 1))


def test_many_short_lines_of_one_event_are_bounded_too() -> None:
    parser = SseParser()
    line = b"data: " + b"x" * 1000 + b"\n"
    with pytest.raises(EventTooLong):
        _ = [parser.feed(line) for _ in range(MAX_EVENT_BYTES // 1000 + 2)]


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("hello, world", 2), ("  two  words ", 3), ("你好 world", 3), ("\n", 1)],
)
def test_tokens_join_to_the_text(text: str, count: int) -> None:
    found = tokens.split_tokens(text)
    assert ("".join(found), len(found)) == (text, count)


class FakeTime:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def key_file(path: Path, clock: FakeTime) -> KeyFile:
    return KeyFile("openai", path, origin="Secret 'keys', key 'openai'", clock=clock)


async def test_a_key_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file, clock = tmp_path / "key", FakeTime()
    key = key_file(file, clock)
    file.write_text("first\n")
    assert await key.value() == "first"
    file.write_text("second")
    assert await key.value() == "first"  # one look per second
    clock.now += 1.0
    assert await key.value() == "second"


async def test_a_missing_key_is_told_with_provider_and_secret_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, clock = tmp_path / "key", FakeTime()
    key = key_file(file, clock)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            clock.now += 1.0
            with pytest.raises(ProviderError) as caught:
                await key.value()
        file.write_text("sesame")
        clock.now += 1.0
        assert await key.value() == "sesame"
    assert caught.value.error_class is ErrorClass.KEY_MISSING
    assert caught.value.message == (
        "provider 'openai' has no usable key: put one in Secret 'keys', key 'openai'"
    )
    assert [record.message for record in caplog.records] == [
        "provider key missing", "provider key found",
    ]  # fmt: skip
    assert "sesame" not in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"two\nlines", b"\xff\xfe", b"x" * 20_000], ids=lambda c: repr(c[:9])
)
async def test_what_cannot_go_into_a_header_is_no_key(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    assert await key_file(file, FakeTime()).is_missing()


class Moody:
    """Fails with each class in turn; None is an answer."""

    def __init__(self, *moods: ErrorClass | None) -> None:
        self.moods = list(moods)

    async def complete(self, prompt: Prompt) -> Answer:
        if mood := self.moods.pop(0):
            raise ProviderError(mood, "p", "failed")
        return Answer({}, "stop", {})

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        await self.complete(prompt)
        yield Chunk({}, "stop", {})

    async def embed(self, texts: Texts) -> Vectors:
        await self.complete(Prompt(texts.agent, []))
        return Vectors([], {})


@pytest.mark.parametrize("how", ["complete", "stream", "embed"])
async def test_only_changes_of_a_provider_s_state_are_logged_but_each_failure_is_counted(
    caplog: pytest.LogCaptureFixture, how: str
) -> None:
    down, slow, bad = ErrorClass.CONNECT, ErrorClass.TIMEOUT, ErrorClass.REFUSED
    metrics = Metrics()
    watched = Watched("p", Moody(None, down, slow, down, None, None, bad), metrics)
    asked = Prompt("front", [])
    with caplog.at_level(logging.INFO):
        for _ in range(7):
            try:
                if how == "stream":
                    _ = [chunk async for chunk in watched.stream(asked)]
                elif how == "embed":
                    await watched.embed(Texts("front", ["a"]))
                else:
                    await watched.complete(asked)
            except ProviderError:
                continue
    assert [r.message for r in caplog.records] == ["provider failing", "provider answers again"]
    count = metrics.registry.get_sample_value
    name = "agent_provider_errors_total"
    assert count(name, {"provider": "p", "class": "connect"}) == 2
    assert count(name, {"provider": "p", "class": "timeout"}) == 1
    assert count(name, {"provider": "p", "class": "refused"}) == 1
