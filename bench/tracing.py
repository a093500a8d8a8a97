"""What a request's ids, spans and GenAI metrics cost in CPU, without what it is about.

The parts that a chat passes through, around a provider that answers at once: three spans where the
request is recorded, written and queued as for an endpoint; sending is one POST for a thousand.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncGenerator, Iterator

from prometheus_client import CollectorRegistry

from agent_runtime.agents.directory import Directory, Sibling
from agent_runtime.app import agent_titles
from agent_runtime.app.admission import Admission
from agent_runtime.app.application import Application
from agent_runtime.app.arrival import Arrivals
from agent_runtime.app.asgi import Message, Reply, Request
from agent_runtime.observability.genai_metrics import GenAiMetrics, Model
from agent_runtime.observability.tracing.spans import Tracer, Within
from agent_runtime.providers.base import Answer, Chunk, Prompt, Provider, Texts, Vectors
from agent_runtime.providers.traced import Traced
from bench import report

SAMPLES = 7
REQUESTS = 5_000
PATH = "/v1/chat/completions"
_ANSWER = Answer(
    {"role": "assistant", "content": "hi"},
    "stop",
    {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16},
    model="m-2026",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no options: it takes seconds."""


class _Model:
    """Answers at once."""

    async def complete(self, _prompt: Prompt) -> Answer:
        return _ANSWER

    async def stream(self, _prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        yield Chunk({}, "stop")

    async def embed(self, _texts: Texts) -> Vectors:
        return Vectors([], {})


class _Written:
    """Takes spans and forgets them."""

    def __init__(self) -> None:
        self.bytes = 0

    def offer(self, span: bytes) -> None:
        self.bytes += len(span)


def run(_options: argparse.Namespace) -> Iterator[report.Table]:
    """Yield the table."""
    tracer = Tracer(_Written(), ratio=1.0)
    never = Tracer(_Written(), ratio=0.0)
    bare = [_us(None, measured=False) for _ in range(SAMPLES)]
    floor = sorted(bare)[SAMPLES // 2]
    rows = [
        report.row(what, "us", [_us(by, measured=True) - floor for _ in range(SAMPLES)])
        for what, by in (
            ("without an endpoint", None),
            ("not sampled", never),
            ("recorded: three spans", tracer),
        )
    ]
    yield report.Table("Request ids, spans and GenAI metrics", "CPU of a request", tuple(rows))


def _us(tracer: Tracer | None, *, measured: bool) -> float:
    return asyncio.run(_timed(tracer, measured=measured))


async def _timed(tracer: Tracer | None, *, measured: bool) -> float:
    model = Model("chat", "openai", "m", "api.example.com", "443", "remote")
    provider: Provider = _Model()
    if measured:
        provider = Traced(provider, GenAiMetrics(CollectorRegistry()), model, model)
    titles = agent_titles.of(
        Directory("shop", "front", {}, {"front": Sibling("front", "http://front:8000")})
    )
    prompt = Prompt("front", [], {"max_tokens": 9})

    async def endpoint(_request: Request, reply: Reply) -> None:
        if measured:
            with Within(titles["front"]):
                await provider.complete(prompt)
        else:
            await provider.complete(prompt)
        await reply.json_bytes(b"{}")

    serve = Application({("POST", PATH): endpoint}, Admission(), arrivals=Arrivals(tracer))
    scope = {"type": "http", "method": "POST", "path": PATH, "headers": []}

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        pass

    began = time.process_time()
    for _ in range(REQUESTS):
        if measured:
            await serve(scope, receive, send)
        else:
            await endpoint(Request(scope, receive), Reply(send, close=False))
    return (time.process_time() - began) / REQUESTS * 1e6
