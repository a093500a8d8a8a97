"""A provider that is asked no more often than its account allows."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

from agent_runtime.providers import limits, tokens
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
from agent_runtime.providers.failures import CONDUCT
from agent_runtime.providers.limits import Limiter, LimitReached


class Limited:
    """Wraps a provider; `refused` is told of each request that found the limit reached."""

    def __init__(
        self, name: str, inner: Provider, limiter: Limiter, refused: Callable[[], None]
    ) -> None:
        self._name = name
        self._inner = inner
        self._limiter = limiter
        self._refused = refused

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the inner provider's answer."""
        async with self._turn(_asked_for(prompt)) as bill:
            answer = await self._inner.complete(prompt)
            bill.usage = answer.usage
            return answer

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield the inner provider's chunks."""
        async with (
            self._turn(_asked_for(prompt)) as bill,
            aclosing(self._inner.stream(prompt)) as chunks,
        ):
            async for chunk in chunks:
                bill.usage = chunk.usage or bill.usage
                yield chunk

    async def embed(self, texts: Texts) -> Vectors:
        """Return the inner provider's vectors."""
        async with self._turn(sum(map(tokens.rough, texts.inputs))) as bill:
            vectors = await self._inner.embed(texts)
            bill.usage = vectors.usage
            return vectors

    @asynccontextmanager
    async def _turn(self, estimate: int) -> AsyncIterator["_Bill"]:
        try:
            turn = await self._limiter.turn(estimate, limits.WAIT_S)
        except LimitReached as exc:
            self._refused()
            text = f"provider {self._name!r} is asked as often as its limits allow"
            raise ProviderError(
                ErrorClass.LIMITED, self._name, text, retry_after_s=exc.retry_after_s
            ) from exc
        bill = _Bill()
        try:
            yield bill
        except ProviderError as exc:
            if not CONDUCT[exc.error_class].charge:
                await turn.settle(0)
            raise
        else:
            if (used := _total(bill.usage)) is not None:
                await turn.settle(used)
        finally:
            await turn.end()


class _Bill:
    """What an answer cost, once it is known."""

    usage: Json | None = None


def _asked_for(prompt: Prompt) -> int:
    """Return what a prompt may cost at most: its own length and, where bounded, the answer's."""
    options = prompt.options
    bound = options.get("max_completion_tokens") or options.get("max_tokens")
    answer = bound if type(bound) is int and bound > 0 else 0
    return answer + sum(tokens.rough(tokens.text_of(message)) for message in prompt.messages)


def _total(usage: Any) -> int | None:  # a JSON edge
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if type(total) is int and total >= 0 else None
