"""An agent answers turns: instructions first, then the session's history, then what is new.

Ordering is safety: a turn is stored before its last piece is handed out. If we die in between, the
client has no answer and asks again; the other way round it would rely on a turn that is lost.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from agent_runtime.agents.reply import ReplyBuilder
from agent_runtime.memory.sessions import Session
from agent_runtime.providers import tokens
from agent_runtime.providers.base import Answer, Chunk, Json, Prompt, Provider
from agent_runtime.providers.receipt import Receipt


@dataclass(frozen=True, slots=True)
class Turn:
    """What a client asks: its new messages, its options, and its session if it has one."""

    messages: Sequence[Json]
    options: Json
    session: Session | None = None
    receipt: Receipt = field(default_factory=Receipt, compare=False)


class Agent:
    """A name, instructions, and the route of providers that does the talking."""

    def __init__(self, name: str, instructions: str, provider: Provider) -> None:
        self.name = name
        self._provider = provider
        self._instructions: list[Json] = (
            [{"role": "system", "content": instructions}] if instructions else []
        )

    async def complete(self, turn: Turn) -> Answer:
        """Return the whole answer, its turn stored."""
        answer = await self._provider.complete(await self._prompt(turn))
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
                if turn.session:
                    await turn.session.keep(turn.messages, message)
                counted = chunk.usage or tokens.estimate(prompt.messages, tokens.text_of(message))
                yield Chunk(chunk.delta, chunk.finish_reason, counted)

    async def _prompt(self, turn: Turn) -> Prompt:
        history = await turn.session.history() if turn.session else []
        messages = [*self._instructions, *history, *turn.messages]
        return Prompt(self.name, messages, turn.options, turn.receipt)
