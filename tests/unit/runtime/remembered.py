"""An answer cache around a model that counts, for tests; time is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.cache.answers import Answers, Rules
from agent_runtime.cache.cached import Cached
from agent_runtime.cache.kept import MAX_BYTES, Shelf
from agent_runtime.cache.shared import Shared
from agent_runtime.guard.principal import ANONYMOUS, Principal
from agent_runtime.observability.metrics import Metrics
from agent_runtime.providers.base import Answer, Chunk, Json, Prompt, Texts, Vectors
from agent_runtime.providers.receipt import Cache, Receipt
from agent_runtime.stores.base import StoreUnavailable

USAGE: Json = {
    "prompt_tokens": 100,
    "completion_tokens": 10,
    "total_tokens": 110,
    "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 30},
}
TOLD: Json = {**USAGE, "prompt_tokens_details": {"cached_tokens": 100}}
"""The same, of an answer from memory."""
TTL_S = 60.0


@dataclass
class Model:
    """Numbers its answers; waits for `gate` before each, and fails with the first if told to."""

    reason: str = "stop"
    failure: Exception | None = None
    gate: asyncio.Event | None = None
    message: Json = field(default_factory=dict)
    delta: Json = field(default_factory=dict)
    """What a stream says besides its text."""
    said: str | None = None
    """Its text, instead of a number."""
    asked: int = 0

    async def complete(self, prompt: Prompt) -> Answer:
        text = await self._text(prompt)
        message = {"role": "assistant", "content": text, **self.message}
        return Answer(message, self.reason, USAGE)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        text = await self._text(prompt)
        yield Chunk({"content": text[:3]})
        yield Chunk({"content": text[3:], **self.delta})
        yield Chunk({}, self.reason, USAGE)

    async def embed(self, texts: Texts) -> Vectors:
        self.asked += 1
        return Vectors([[1.0] for _ in texts.inputs], {})

    async def _text(self, _prompt: Prompt) -> str:
        self.asked += 1
        number = self.asked
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None and number == 1:
            raise self.failure
        return self.said or f"answer {number}"


class Clock:
    """Wall-clock time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Pool:
    """What pods share, in memory; can be away."""

    values: dict[bytes, tuple[bytes, float]] = field(default_factory=dict)
    away: bool = False

    async def get(self, key: bytes) -> bytes | None:
        if self.away:
            raise StoreUnavailable("away")
        return self.values[key][0] if key in self.values else None

    async def put(self, key: bytes, value: bytes, seconds: float) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.values[key] = (value, seconds)


class Pod:
    """One process's cache around a model."""

    def __init__(
        self,
        model: Model | None = None,
        *,
        shared: Shared | None = None,
        clock: Clock | None = None,
        may_serve_stale: Callable[[], bool] | None = None,
        revision: str = "r1",
        max_entries: int = 100,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.model = model or Model()
        self.clock = clock or Clock()
        self.metrics = Metrics()
        self.shelf = Shelf(max_entries=max_entries, max_bytes=max_bytes)
        rules = Rules(TTL_S, revision, may_serve_stale, self.clock)
        self.answers = Answers(rules, self.shelf, shared, self.metrics.cache)
        self.cached = Cached(self.model, self.answers)

    async def ask(self, text: str = "hello", **more: Any) -> tuple[str, Cache | None]:
        """Return what is answered, and what the cache did for it."""
        asked = prompt(text, **more)
        answer = await self.cached.complete(asked)
        return answer.message["content"], asked.receipt.cache

    async def read(self, text: str = "hello") -> tuple[str, Cache | None]:
        """Return what a stream says in all, and what the cache did for it."""
        asked = prompt(text)
        chunks = [chunk async for chunk in self.cached.stream(asked)]
        said = "".join(chunk.delta.get("content", "") for chunk in chunks)
        return said, asked.receipt.cache

    def metric(self, name: str, **labels: str) -> float:
        found = self.metrics.registry.get_sample_value(name, labels)
        return found or 0.0


def prompt(
    text: str = "hello",
    *,
    tenant: str = "",
    agent: str = "front",
    messages: list[Json] | None = None,
    receipt: Receipt | None = None,
    **options: Any,
) -> Prompt:
    who = Principal("somebody", tenant, ANONYMOUS.roles, ANONYMOUS.priority)
    asked = messages or [{"role": "user", "content": text}]
    return Prompt(agent, asked, dict(options), who, receipt or Receipt(tenant=tenant))
