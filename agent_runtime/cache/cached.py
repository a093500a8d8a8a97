"""The cache as a wrapper of a route: the same question is answered once, and then remembered.

Ordering is safety: an answer is given to those who wait, and kept, before its last piece is handed
out. A client that then leaves takes nothing away from the others.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from agent_runtime.agents.reply import ReplyBuilder
from agent_runtime.cache.answers import Answers
from agent_runtime.cache.flights import Flight
from agent_runtime.cache.kept import remembered
from agent_runtime.providers import tokens
from agent_runtime.providers.base import Answer, Chunk, Prompt, Provider, Texts, Vectors
from agent_runtime.providers.receipt import Cache


class Cached:
    """Wraps a route."""

    def __init__(self, inner: Provider, answers: Answers) -> None:
        self._inner = inner
        self._answers = answers

    async def complete(self, prompt: Prompt) -> Answer:
        """Return an answer from memory, or the inner provider's."""
        key = self._answers.key(prompt)
        if key is None:
            self._answers.count(prompt, Cache.BYPASS)
            return await self._inner.complete(prompt)
        known = self._here(prompt, key) or await self._joined(prompt, key)
        if known is not None:
            return known
        with self._answers.flights.begin(key) as flight:
            found = await self._found(prompt, key, flight)
            if found is not None:
                return found
            answer = await self._inner.complete(prompt)
            await self._landed(prompt, key, flight, answer)
        return answer

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield an answer from memory in one piece, or the inner provider's chunks."""
        key = self._answers.key(prompt)
        if key is None:
            self._answers.count(prompt, Cache.BYPASS)
            chunks = self._inner.stream(prompt)
        elif known := self._here(prompt, key) or await self._joined(prompt, key):
            chunks = _pieces(known)
        else:
            chunks = self._asked(prompt, key)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def embed(self, texts: Texts) -> Vectors:
        """Return the inner provider's vectors: they cost little, and are large to keep."""
        return await self._inner.embed(texts)

    async def _asked(self, prompt: Prompt, key: bytes) -> AsyncGenerator[Chunk, None]:
        with self._answers.flights.begin(key) as flight:
            found = await self._found(prompt, key, flight)
            if found is not None:
                async for chunk in _pieces(found):
                    yield chunk
                return
            reply = ReplyBuilder()
            async with aclosing(self._inner.stream(prompt)) as chunks:
                async for chunk in chunks:
                    reply.add(chunk.delta)
                    if chunk.delta.keys() - _TEXT:
                        prompt.receipt.may_share = False  # more than a kept message would tell
                    if chunk.finish_reason is not None:
                        await self._landed(prompt, key, flight, _whole(prompt, reply, chunk))
                    yield chunk

    def _here(self, prompt: Prompt, key: bytes) -> Answer | None:
        """Return what this process knows; the way of a hit, and so it never waits."""
        here = self._answers.here(key) if prompt.receipt.may_look else None
        if here is not None:
            self._answers.count(prompt, Cache.HIT)
        return here

    async def _joined(self, prompt: Prompt, key: bytes) -> Answer | None:
        """Return what somebody else is finding out at this moment."""
        if not prompt.receipt.may_look:
            return None
        # whoever went on for all who waited may have landed before we were woken
        joined = await self._answers.flights.joined(key) or self._answers.here(key)
        if joined is not None:
            self._answers.count(prompt, Cache.JOINED)
        return joined

    async def _found(self, prompt: Prompt, key: bytes, flight: Flight) -> Answer | None:
        """Return what others know, on behalf of all who wait; None: a model is to be asked."""
        found = await self._answers.elsewhere(key) if prompt.receipt.may_look else None
        self._answers.count(prompt, found[1] if found else Cache.MISS)
        if found is None:
            return None
        flight.land(found[0])
        return found[0]

    async def _landed(self, prompt: Prompt, key: bytes, flight: Flight, answer: Answer) -> None:
        if self._answers.is_shareable(prompt, answer):
            given = remembered(answer)
            flight.land(given)
            await self._answers.keep(key, given)


_TEXT = frozenset({"role", "content"})


def _whole(prompt: Prompt, reply: ReplyBuilder, last: Chunk) -> Answer:
    message = reply.message()
    usage = last.usage or tokens.estimate(prompt.messages, tokens.text_of(message))
    return Answer(message, last.finish_reason or "", usage)


async def _pieces(known: Answer) -> AsyncGenerator[Chunk, None]:
    said = {key: value for key, value in known.message.items() if key != "role" and value}
    yield Chunk(said)
    yield Chunk({}, known.finish_reason, known.usage)
