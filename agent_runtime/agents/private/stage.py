"""The stage around an agent: nothing that its rules are about goes further in than here.

    caller -> PrivateAgent -> (cache, budget ...) -> PrivateAnswers -> route -> provider

`PrivateAgent` takes originals out of what is asked, before the session keeps it, and puts them back
into the answer after the session has kept that. `PrivateAnswers` takes out what a model says by
itself, below everything that stores answers.
"""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from agent_runtime.agents.agent import Agent, Turn
from agent_runtime.agents.private.key import SecretKey
from agent_runtime.agents.private.pieces import Redacted, Restored
from agent_runtime.guard.pii.conversation import Conversation, Scanner, Side, texts_of
from agent_runtime.guard.pii.detector import Detector
from agent_runtime.guard.pii.placeholders import keyed
from agent_runtime.memory.sessions import Session
from agent_runtime.observability.pii_metrics import PiiMetrics
from agent_runtime.providers.base import (
    Answer,
    Chunk,
    ErrorClass,
    Json,
    Prompt,
    Provider,
    ProviderError,
    Texts,
    Vectors,
)
from agent_runtime.providers.receipt import Receipt

_AT_ONCE_BYTES = 100_000  # takes a millisecond; what is made to be slow takes a second

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Protection:
    """What is looked for in a system, and by which key."""

    detector: Detector
    key: SecretKey
    metrics: PiiMetrics


@dataclass(frozen=True, slots=True)
class _PrivateTurn(Turn):
    conversation: Conversation = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class _PrivatePrompt(Prompt):
    conversation: Conversation = field(kw_only=True)


class _PrivateSession(Session):
    """A session of which the store sees placeholders, and knows them again."""

    def __init__(self, inner: Session, conversation: Conversation, history: list[Json]) -> None:
        self._inner = inner
        self._conversation = conversation
        self._history = history

    async def history(self) -> list[Json]:
        return self._history

    async def keep(self, asked: Sequence[Json], answered: Json) -> None:
        kept = self._conversation.kept
        await self._inner.keep([kept(message) for message in asked], kept(answered))


class PrivateAgent(Agent):
    """An agent that sees placeholders; its callers see originals, where the rules say so."""

    def __init__(
        self,
        name: str,
        instructions: str,
        provider: Provider,
        protection: Protection,
        *,
        around: Callable[[Provider], Provider] = lambda inner: inner,
    ) -> None:
        """`around` wraps what sees no original: neither the caller's nor the model's own."""
        scanner = Scanner(protection.detector, instructions)
        answers = PrivateAnswers(provider, scanner, protection.key)
        super().__init__(name, instructions, around(answers))
        self._protection = protection
        self._scanner = scanner

    async def session_id(self, given: str) -> str:
        """Return the id under which a session is kept; some callers give phone numbers as ids."""
        if self._scanner.redacted(given, lambda *_: "") == given:
            return given
        return f"pii-{keyed(await self._protection.key.secret(), given)}"

    async def complete(self, turn: Turn) -> Answer:
        """Return the answer with originals, its turn stored without."""
        async with self._private(turn) as private:
            answer = await super().complete(private)
            return dataclasses.replace(
                answer, message=private.conversation.restored(answer.message)
            )

    async def stream(self, turn: Turn) -> AsyncGenerator[Chunk, None]:
        """Yield the answer with originals; the turn is stored without."""
        async with self._private(turn) as private:
            restored = Restored(private.conversation)
            async with aclosing(super().stream(private)) as chunks:
                async for chunk in chunks:
                    for piece in restored.pieces(chunk):
                        yield piece

    async def embed(
        self, inputs: Sequence[str | Sequence[int]], options: Json, receipt: Receipt | None = None
    ) -> Vectors:
        """Return the vectors of the texts without what the rules are about.

        Token ids cannot be searched for it, and are refused.
        """
        if not all(isinstance(text, str) for text in inputs):
            why = "token ids cannot be searched for personal data; send texts"
            raise ProviderError(ErrorClass.UNSUPPORTED, "", why)
        turn = Turn([{"role": "user", "content": text} for text in inputs], options)
        async with self._private(turn) as private:
            texts = [message["content"] for message in private.messages]
            return await super().embed(texts, private.options, receipt)

    async def _prompt(self, turn: Turn) -> Prompt:
        prompt = await super()._prompt(turn)
        if not isinstance(turn, _PrivateTurn):
            raise TypeError("a turn that was not made private")
        return _PrivatePrompt(**_fields(prompt), conversation=turn.conversation)

    @asynccontextmanager
    async def _private(self, turn: Turn) -> AsyncIterator[_PrivateTurn]:
        secret = await self._protection.key.secret()
        conversation = Conversation(self._scanner, secret)
        try:
            yield await self._redacted(turn, conversation)
        finally:
            if conversation.any_found:
                self._record(turn, conversation, secret)

    async def _redacted(self, turn: Turn, conversation: Conversation) -> _PrivateTurn:
        session = turn.session
        if session is not None:
            history = conversation.recall(await session.history())
            session = _PrivateSession(session, conversation, history)
        messages = list(turn.messages)
        if len(orjson.dumps(messages)) > _AT_ONCE_BYTES:
            asked = await asyncio.to_thread(_asked, conversation, messages, turn.options)
        else:
            asked = _asked(conversation, messages, turn.options)
        changes = {"messages": asked[0], "options": asked[1], "session": session}
        return _PrivateTurn(**(_fields(turn) | changes), conversation=conversation)

    def _record(self, turn: Turn, conversation: Conversation, secret: bytes) -> None:
        """Say what was found, in kinds and counts. Who has the text knows it by its hash."""
        blocked = conversation.blocked
        for side, counts in conversation.found.items():
            for name, count in counts.items():
                policy = conversation.rules[name].policy
                self._protection.metrics.found(name, str(policy), str(side), count)
        fields = {
            "agent": self.name,
            "content_hash": keyed(secret, texts_of(turn.messages)),
            "found": {str(side): dict(c) for side, c in conversation.found.items() if c},
            "blocked": blocked.kind if blocked else None,
        }
        _log.info("personal data found", extra=fields)


class PrivateAnswers:
    """A provider whose answers hold placeholders where a model has written what rules are about."""

    def __init__(self, inner: Provider, scanner: Scanner, key: SecretKey) -> None:
        self._inner = inner
        self._scanner = scanner
        self._key = key

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the inner provider's answer, redacted."""
        conversation = await self._conversation(prompt)
        answer = await self._inner.complete(prompt)
        message = conversation.redacted(answer.message, Side.ANSWER)
        _mark(prompt, conversation)
        return dataclasses.replace(answer, message=message)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield the inner provider's chunks, redacted across their borders."""
        conversation = await self._conversation(prompt)
        redacted = Redacted(conversation)
        async with aclosing(self._inner.stream(prompt)) as chunks:
            async for chunk in chunks:
                for piece in redacted.pieces(chunk):
                    if piece.finish_reason is not None:
                        _mark(prompt, conversation)
                    yield piece

    async def embed(self, texts: Texts) -> Vectors:
        """Return the inner provider's vectors: numbers hold nothing to be taken out."""
        return await self._inner.embed(texts)

    async def _conversation(self, prompt: Prompt) -> Conversation:
        if isinstance(prompt, _PrivatePrompt):
            return prompt.conversation
        # somebody in between has written a prompt of their own; its numbers are taken
        conversation = Conversation(self._scanner, await self._key.secret())
        conversation.reserve(list(prompt.messages))
        return conversation


def _mark(prompt: Prompt, conversation: Conversation) -> None:
    """Keep an answer from others, if part of it is put back for its caller alone."""
    if conversation.gives_back_what_was_answered:
        prompt.receipt.may_share = False


def _asked(
    conversation: Conversation, messages: list[Json], options: Json
) -> tuple[list[Json], Json]:
    """Return messages and options without what the rules are about."""
    conversation.reserve(messages)
    redacted = conversation.redacted(messages, Side.REQUEST)
    return redacted, {
        # bare numbers among the options are settings
        key: value if isinstance(value, int) else conversation.redacted(value, Side.REQUEST)
        for key, value in options.items()
    }


def _fields(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
