"""An agent answers turns: instructions first, then the session's history, then what is new.

Ordering is safety: a turn is stored before its last piece is handed out. If we die in between, the
client has no answer and asks again; the other way round it would rely on a turn that is lost.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from agent_runtime.agents.reply import ReplyBuilder
from agent_runtime.guard.principal import ANONYMOUS, Principal
from agent_runtime.memory.sessions import Session
from agent_runtime.observability.tracing import content
from agent_runtime.providers import tokens
from agent_runtime.providers.base import (
    Answer,
    Chunk,
    Json,
    Prompt,
    Provider,
    Texts,
    Vectors,
)
from agent_runtime.providers.receipt import Receipt


@dataclass(frozen=True, slots=True)
class Turn:
    """What a client asks: its new messages, its options, its session if it has one; and who."""

    messages: Sequence[Json]
    options: Json
    session: Session | None = None
    principal: Principal = ANONYMOUS
    receipt: Receipt = field(default_factory=Receipt, compare=False)


class Agent:
    """A name, instructions, and the route of providers that does the talking."""

    def __init__(self, name: str, instructions: str, provider: Provider) -> None:
        self.name = name
        self._provider = provider
        self._instructions: list[Json] = (
            [{"role": "system", "content": instructions}] if instructions else []
        )

    async def session_id(self, given: str) -> str:
        """Return the id under which the session that a caller names is kept."""
        return given

    async def complete(self, turn: Turn) -> Answer:
        """Return the whole answer, its turn stored."""
        prompt = await self._prompt(turn)
        answer = await self._provider.complete(prompt)
        content.tell(prompt.messages, answer.message, answer.finish_reason)
        if turn.session:
            await turn.session.keep(turn.messages, answer.message)
        return answer

    async def stream(self, turn: Turn) -> AsyncGenerator[Chunk, None]:
        """Yield the answer in pieces; the turn is stored before the last one.

        The last piece has a `finish_reason` and always a `usage`.
        """
        prompt = await self._prompt(turn)
        reply = ReplyBuilder()
        async with aclosing(self._provider.stream(prompt)) as chunks:
            async for chunk in chunks:
                reply.add(chunk.delta)
                if chunk.finish_reason is None:
                    yield chunk
                    continue
                message = reply.message()
                content.tell(prompt.messages, message, chunk.finish_reason)
                if turn.session:
                    await turn.session.keep(turn.messages, message)
                counted = chunk.usage or tokens.estimate(prompt.messages, tokens.text_of(message))
                yield Chunk(chunk.delta, chunk.finish_reason, counted)

    async def embed(
        self, inputs: Sequence[str | Sequence[int]], options: Json, receipt: Receipt | None = None
    ) -> Vectors:
        """Return a vector for each input; instructions and sessions have no part in it."""
        return await self._provider.embed(Texts(self.name, inputs, options, receipt or Receipt()))

    async def _prompt(self, turn: Turn) -> Prompt:
        history = await turn.session.history() if turn.session else []
        messages = [*self._instructions, *history, *turn.messages]
        return Prompt(self.name, messages, turn.options, turn.principal, turn.receipt)
