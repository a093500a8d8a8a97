"""A chain of providers that looks like one provider and does not give up at the first failure.

Providers are asked in their order. When all have failed, those that may do better a moment later
are asked again, after a pause, as long as the time for that lasts.

Invariants: another provider is tried only while nothing of an answer has been passed on; vectors
of an agent always come from the same model, whoever is asked for it.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from agent_runtime.providers import embedding
from agent_runtime.providers.base import (
    Answer,
    Chunk,
    ErrorClass,
    Prompt,
    Provider,
    ProviderError,
    Texts,
    Vectors,
)
from agent_runtime.providers.failures import CONDUCT, UNAFFORDABLE

ROUNDS = 3
"""More would add load to what fails, and time to what a caller waits for."""
WITHIN_S = 20.0
"""No new round begins later: callers give up by themselves after half a minute or so."""
PAUSE_S = 0.5
"""Upper bound of the first pause; it doubles with each round."""
PAUSE_MAX_S = 5.0
"""Whoever asks to be left alone for longer is left to the caller, who is told for how long."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Time and chance, so that tests can own them."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random
    """Between 0 and 1."""


class Route:
    """Tries its providers in order until one begins to answer."""

    def __init__(
        self,
        chain: Sequence[Provider],
        pace: Pace | None = None,
        *,
        embedders: Sequence[Provider] = (),
    ) -> None:
        """`embedders` are those of the chain that may embed, as `embedding.embedders` chooses."""
        self._chain = chain
        self._embedders = embedders
        self._pace = pace or Pace()

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the first answer of the chain."""
        attempts = _Attempts(self._chain, self._pace)
        while (provider := await attempts.next()) is not None:
            try:
                return await provider.complete(prompt)
            except ProviderError as exc:
                attempts.failed(provider, exc)
        raise attempts.told()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield from the first provider that sends a chunk; later breaks are passed on."""
        attempts = _Attempts(self._chain, self._pace)
        while (provider := await attempts.next()) is not None:
            begun = False
            try:
                async with aclosing(provider.stream(prompt)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
            except ProviderError as exc:
                if begun:
                    raise
                attempts.failed(provider, exc)
            else:
                return
        raise attempts.told()

    async def embed(self, texts: Texts) -> Vectors:
        """Return the vectors of the first embedder that answers."""
        if not self._embedders:
            raise ProviderError(
                ErrorClass.UNSUPPORTED, "", _NO_EMBEDDER, detail=embedding.UNSUPPORTED
            )
        attempts = _Attempts(self._embedders, self._pace)
        while (provider := await attempts.next()) is not None:
            try:
                return await provider.embed(texts)
            except ProviderError as exc:
                attempts.failed(provider, exc)
        raise attempts.told()


_NOT_ASKED = UNAFFORDABLE | {ErrorClass.CIRCUIT_OPEN, ErrorClass.LIMITED, ErrorClass.UNSUPPORTED}
_NO_EMBEDDER = (
    "no provider of this agent makes embeddings; ask an agent whose route begins with a model for "
    "embeddings, at a provider of type OpenAI or Scripted"
)


class _Attempts:
    """Who is asked next for one request."""

    def __init__(self, chain: Sequence[Provider], pace: Pace) -> None:
        self._pace = pace
        self._began = pace.clock()
        self._left = list(chain)
        self._failures: list[tuple[Provider, ProviderError]] = []
        """Of this round."""
        self._earlier: list[ProviderError] = []
        self._round = 1

    async def next(self) -> Provider | None:
        """Return the next provider to ask, after a pause before each new round, or None."""
        if not self._left and not await self._begin_round():
            return None
        return self._left.pop(0)

    def failed(self, provider: Provider, failure: ProviderError) -> None:
        """Take note of a failure; raise it if nobody else may be asked."""
        conduct = CONDUCT[failure.error_class]
        if not (conduct.fall_back or conduct.retry):
            raise failure
        self._failures.append((provider, failure))

    def told(self) -> ProviderError:
        """Return the failure worth telling: what waiting cannot cure, else the last.

        A breaker that is open only repeats what others were told before, and what one API does not
        know, or one limit or the budget does not allow, says nothing about the others.
        """
        failures = [*self._earlier, *(failure for _, failure in self._failures)]
        for lasting in (ErrorClass.KEY_MISSING, ErrorClass.CONTEXT_TOO_LONG):
            for failure in failures:
                if failure.error_class is lasting:
                    return failure
        asked = [f for f in failures if f.error_class not in _NOT_ASKED]
        return (asked or failures)[-1]

    async def _begin_round(self) -> bool:
        again = [(p, f) for p, f in self._failures if CONDUCT[f.error_class].retry]
        if not again or self._round >= ROUNDS:
            return False
        pause_s = self._pause_s([failure for _, failure in again])
        if pause_s > PAUSE_MAX_S or self._pace.clock() - self._began + pause_s > WITHIN_S:
            return False
        await self._pace.sleep(pause_s)
        self._round += 1
        self._earlier += [failure for _, failure in self._failures]
        self._left = [p for p, f in again if (f.retry_after_s or 0.0) <= pause_s]
        self._failures = []
        return True

    def _pause_s(self, failures: Sequence[ProviderError]) -> float:
        """Full jitter, but at least until the first provider may be asked again.

        After round 1: 0 to 0.5 s; after round 2: 0 to 1 s. "Retry-After: 3" from all: 3 s.
        """
        jittered = self._pace.random() * PAUSE_S * 2.0 ** (self._round - 1)
        soonest = min(failure.retry_after_s or 0.0 for failure in failures)
        return max(jittered, soonest)
