"""A provider that is counted, and that says in the log when it starts and stops failing."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from agent_runtime.observability.metrics import Metrics
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
from agent_runtime.providers.failures import CONDUCT

_log = logging.getLogger(__name__)


class Watched:
    """Wraps a provider; one log line per change of its state, not per request."""

    def __init__(self, name: str, inner: Provider, metrics: Metrics) -> None:
        self._name = name
        self._inner = inner
        self._metrics = metrics
        self._failing: ErrorClass | None = None

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the inner provider's answer."""
        try:
            answer = await self._inner.complete(prompt)
        except ProviderError as exc:
            self._failed(exc)
            raise
        self._answered()
        return answer

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield the inner provider's chunks."""
        try:
            async with aclosing(self._inner.stream(prompt)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except ProviderError as exc:
            self._failed(exc)
            raise
        self._answered()

    async def embed(self, texts: Texts) -> Vectors:
        """Return the inner provider's vectors."""
        try:
            vectors = await self._inner.embed(texts)
        except ProviderError as exc:
            self._failed(exc)
            raise
        self._answered()
        return vectors

    def _failed(self, exc: ProviderError) -> None:
        self._metrics.provider_failed(self._name, exc.error_class)
        # a bad request says nothing about the provider, and the key file reports itself
        if not CONDUCT[exc.error_class].opens_breaker:
            return
        if self._failing is None:
            fields = {"provider": self._name, "reason": str(exc.error_class)}
            _log.warning("provider failing", extra=fields)
        self._failing = exc.error_class

    def _answered(self) -> None:
        if self._failing is not None:
            _log.info("provider answers again", extra={"provider": self._name})
            self._failing = None
