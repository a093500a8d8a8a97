"""An agent's turn: what the model is told, what is kept, and in which order."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from agent_runtime.agents.agent import Agent, Turn
from agent_runtime.agents.directory import Directory, Sibling, Unknown
from agent_runtime.agents.reply import ReplyBuilder
from agent_runtime.memory.base import Retention, StoreUnavailable
from agent_runtime.memory.in_process import MemoryStore
from agent_runtime.memory.sessions import Session, Sessions
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
from tests.unit.runtime.streams import until

HELLO = {"role": "user", "content": "hello"}


class Echo:
    """Remembers what it was asked; answers the same three pieces each time."""

    def __init__(self, *, breaks: bool = False, usage: Json | None = None) -> None:
        self.asked: list[Sequence[Json]] = []
        self.breaks = breaks
        self.usage = usage

    async def complete(self, prompt: Prompt) -> Answer:
        self.asked.append(prompt.messages)
        return Answer({"role": "assistant", "content": "good day"}, "stop", self.usage or {})

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        self.asked.append(prompt.messages)
        yield Chunk({"content": "good"})
        if self.breaks:
            raise ProviderError(ErrorClass.BROKEN, "p", "broke off")
        yield Chunk({"content": " day"})
        yield Chunk({}, "stop", self.usage)

    async def embed(self, texts: Texts) -> Vectors:
        return Vectors([[float(len(text))] for text in texts.inputs], {"prompt_tokens": 1})


def store() -> MemoryStore:
    return MemoryStore(Retention(60, 50))


def turn(session: Session | None, *messages: Json) -> Turn:
    return Turn(messages or (HELLO,), {}, session)


async def test_the_model_is_told_instructions_then_history_then_what_is_new() -> None:
    echo, sessions = Echo(), Sessions(store(), "shop", "support")
    agent = Agent("front", "be kind", echo)
    for _ in range(2):
        async with sessions.turn("front", "s1") as session:
            await agent.complete(turn(session))
    instructions = {"role": "system", "content": "be kind"}
    answered = {"role": "assistant", "content": "good day"}
    assert echo.asked == [[instructions, HELLO], [instructions, HELLO, answered, HELLO]]


async def test_an_agent_without_instructions_adds_no_system_message() -> None:
    echo = Echo()
    await Agent("front", "", echo).complete(turn(None))
    assert echo.asked == [[HELLO]]


async def test_a_client_s_system_message_is_used_but_not_kept() -> None:
    echo, sessions = Echo(), Sessions(store(), "shop", "support")
    agent = Agent("front", "", echo)
    extra = {"role": "system", "content": "in French"}
    async with sessions.turn("front", "s1") as session:
        await agent.complete(turn(session, extra, HELLO))
        assert await session.history() == [HELLO, {"role": "assistant", "content": "good day"}]
    assert echo.asked == [[extra, HELLO]]


class Journal:
    """A store that writes down when it was asked to keep something."""

    def __init__(self, events: list[str]) -> None:
        self.events = events

    async def load(self, key: str) -> list[bytes]:
        return []

    async def append(self, key: str, turn: bytes) -> None:
        self.events.append("stored")

    async def count(self) -> int:
        return 0

    async def close(self) -> None:
        """Nothing to release."""


async def test_a_streamed_turn_is_stored_before_its_last_piece_is_handed_out() -> None:
    events: list[str] = []
    stream = Agent("front", "", Echo()).stream(turn(Session(Journal(events), "key")))
    order: tuple[tuple[str | None, list[str]], ...]
    order = (("good", []), (" day", []), (None, ["stored"]))
    for want in order:
        chunk = await anext(stream)
        assert (chunk.delta.get("content"), events) == want
    assert chunk.finish_reason == "stop"


async def test_a_broken_stream_is_not_kept() -> None:
    events: list[str] = []
    agent = Agent("front", "", Echo(breaks=True))
    stream = agent.stream(turn(Session(Journal(events), "key")))
    seen, _ = await until(ProviderError, stream)
    assert (len(seen), events) == (1, [])


async def test_a_turn_that_cannot_be_stored_is_not_acknowledged() -> None:
    class Full(Journal):
        async def append(self, key: str, turn: bytes) -> None:
            raise StoreUnavailable("disk is full")

    agent = Agent("front", "", Echo())
    with pytest.raises(StoreUnavailable):
        await agent.complete(turn(Session(Full([]), "key")))
    seen, _ = await until(StoreUnavailable, agent.stream(turn(Session(Full([]), "key"))))
    assert [chunk.finish_reason for chunk in seen] == [None, None]


async def test_usage_is_the_provider_s_or_else_estimated() -> None:
    stated = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    for provider, want in ((Echo(usage=stated), 3), (Echo(), 3)):
        chunks = [chunk async for chunk in Agent("front", "", provider).stream(turn(None))]
        assert chunks[-1].usage is not None
        assert chunks[-1].usage["total_tokens"] == want


def test_streamed_tool_calls_are_joined_by_index() -> None:
    reply = ReplyBuilder()
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": None},
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{"}}]},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]},
    ]
    for delta in deltas:
        reply.add(delta)
    assert reply.message() == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }


FRONT, RESEARCH = Agent("front", "", Echo()), Sibling("research", "http://r:8000")


@pytest.mark.parametrize(
    ("model", "want"),
    [
        (None, FRONT),
        ("support", FRONT),
        ("front", FRONT),
        ("research", RESEARCH),
        ("gpt-4o", Unknown("gpt-4o")),
        ("", Unknown("")),
    ],
)
def test_a_model_is_an_agent(model: str | None, want: object) -> None:
    directory = Directory("support", "front", {"front": FRONT}, {"research": RESEARCH})
    assert directory.find(model) == want


def test_a_pod_that_cannot_reach_the_entry_answers_itself() -> None:
    directory = Directory("support", "front", {"research": FRONT}, {})
    assert directory.find(None) is FRONT
    assert directory.find("front") == Unknown("front")
