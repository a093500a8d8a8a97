"""A model with a meter, and everything around it, for tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agent_runtime.cost import prices
from agent_runtime.cost.accounts import Accounts, Payee
from agent_runtime.cost.meter import Metered, Rate
from agent_runtime.cost.prices import Price
from agent_runtime.observability.metrics import Metrics
from agent_runtime.providers.base import (
    Answer,
    Chunk,
    Json,
    Prompt,
    ProviderError,
    Texts,
    Vectors,
)
from agent_runtime.providers.receipt import Receipt

ASKED: Json = {"role": "user", "content": "how do I return the shoes that I ordered yesterday?"}
USAGE: Json = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
PRICE = prices.price(input="1", output="10", cache_write=None, cache_read=None)
COST = 100 * 1000 + 10 * 10_000
"""Of `USAGE` at `PRICE`, in nano-USD."""


@dataclass
class Model:
    """Answers in pieces with `usage`, or fails after them."""

    pieces: tuple[str, ...] = ("good", " day")
    usage: Json | None = field(default_factory=lambda: USAGE)
    failure: ProviderError | None = None
    asked: list[Prompt] = field(default_factory=list)

    async def complete(self, prompt: Prompt) -> Answer:
        self.asked.append(prompt)
        if self.failure:
            raise self.failure
        message = {"role": "assistant", "content": "".join(self.pieces)}
        return Answer(message, "stop", self.usage or {}, estimated=self.usage is None)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        self.asked.append(prompt)
        for piece in self.pieces:
            yield Chunk({"content": piece})
        if self.failure:
            raise self.failure
        yield Chunk({}, "stop", self.usage)

    async def embed(self, texts: Texts) -> Vectors:
        if self.failure:
            raise self.failure
        return Vectors([[1.0] for _ in texts.inputs], self.usage or {})


def prompt(*, tenant: str = "", session: str = "", **options: object) -> Prompt:
    receipt = Receipt(tenant=tenant, session=session)
    return Prompt("front", [ASKED], dict(options), receipt=receipt)


class Clock:
    """Wall-clock time that a test moves."""

    def __init__(self, start: datetime = datetime(2026, 11, 28, 12, tzinfo=UTC)) -> None:
        self.now = start.timestamp()

    def __call__(self) -> float:
        return self.now


class Bench:
    """A meter with its accounts."""

    def __init__(self, model: Model, price: Price | None = PRICE) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        self.accounts = Accounts(self.metrics, clock=self.clock)
        self.metered = Metered(Rate(Payee("openai", "m"), price), model, self.accounts)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)
