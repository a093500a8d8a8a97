"""A provider whose calls are measured, and recorded as spans where the request is traced.

Stands right around one model, so that each retry and each fallback is a call of its own.
"""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from agent_runtime.observability.genai_metrics import GenAiMetrics, Model, ModelSeries
from agent_runtime.observability.tracing import here, spans
from agent_runtime.observability.tracing.spans import Span, SpanKind, Title
from agent_runtime.providers.base import Answer, Chunk, Json, Prompt, Provider, Texts, Vectors

_MAX_TEXT = 200
"""Characters of what an endpoint calls its model, and why its answer ended."""
_SETTINGS = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
}
"""Numbers among the options; everything else there may hold text of the caller's."""


class _Operation:
    """One operation of the model: its series, and the title of its spans."""

    def __init__(self, metrics: GenAiMetrics, model: Model) -> None:
        self.series: ModelSeries = metrics.model(model)
        values: dict[str, str | int] = {
            "gen_ai.operation.name": model.operation,
            "gen_ai.provider.name": model.provider_name,
            "agentsystem.provider": model.provider,
        }
        if model.model:
            values["gen_ai.request.model"] = model.model
        if model.address:
            values |= {"server.address": model.address, "server.port": int(model.port)}
        name = f"{model.operation} {model.model}".strip()
        self.title = Title(name, SpanKind.CLIENT, values)


class _Call:
    """One call, from its begin to its one end."""

    __slots__ = ("_began", "_series", "span")

    def __init__(self, operation: _Operation) -> None:
        self._series = operation.series
        self._began = time.perf_counter()
        self.span = spans.begun(operation.title)

    def first(self) -> None:
        """Take note of a stream's first chunk."""
        seconds = time.perf_counter() - self._began
        self._series.began(seconds)
        if self.span is not None:
            self.span.values["gen_ai.response.time_to_first_chunk"] = seconds

    def answered(self, usage: Json | None, *, reason: str | None, model: str | None) -> None:
        """Take note of an answer; `usage` only if the provider told it."""
        self._series.answered(time.perf_counter() - self._began)
        tokens_in, tokens_out = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
        self._series.used(tokens_in, tokens_out)
        if self.span is None:
            return
        values = self.span.values
        if tokens_in is not None:
            values["gen_ai.usage.input_tokens"] = tokens_in
        if tokens_out is not None:
            values["gen_ai.usage.output_tokens"] = tokens_out
        details = (usage or {}).get("prompt_tokens_details")
        cached = _count(details, "cached_tokens") if isinstance(details, dict) else None
        if cached is not None:
            values["gen_ai.usage.cache_read.input_tokens"] = cached
        if isinstance(reason, str):
            values["gen_ai.response.finish_reasons"] = [reason[:_MAX_TEXT]]
        if isinstance(model, str):
            values["gen_ai.response.model"] = model[:_MAX_TEXT]
        self.span.end()

    def failed(self, exc: BaseException) -> None:
        """Take note of how it failed."""
        kind = spans.kind_of(exc)
        self._series.failed(time.perf_counter() - self._began, kind)
        if self.span is not None:
            self.span.fail(kind)
            self.span.end()


class Traced:
    """Wraps a provider."""

    def __init__(self, inner: Provider, metrics: GenAiMetrics, chat: Model, embed: Model) -> None:
        self._inner = inner
        self._chat = _Operation(metrics, chat)
        self._embeddings = _Operation(metrics, embed)

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the inner provider's answer."""
        call = _Call(self._chat)
        token = here.enter(call.span.here) if call.span else None
        try:
            if call.span is not None:
                _describe(call.span, prompt.options)
            answer = await self._inner.complete(prompt)
        except BaseException as exc:
            call.failed(exc)
            raise
        finally:
            if token is not None:
                here.leave(token)
        usage = None if answer.estimated else answer.usage
        call.answered(usage, reason=answer.finish_reason, model=answer.model)
        return answer

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield the inner provider's chunks."""
        call = _Call(self._chat)
        last: Chunk | None = None
        try:
            if call.span is not None:
                call.span.values["gen_ai.request.stream"] = True
                _describe(call.span, prompt.options)
            async with aclosing(self._inner.stream(prompt)) as chunks:
                last = await _first(chunks, call.span)
                if last is not None:
                    call.first()
                    yield last
                async for last in chunks:
                    yield last
        except BaseException as exc:
            if last is None or last.finish_reason is None:
                call.failed(exc)
            else:  # the answer was whole; nobody waited for the generator's end
                call.answered(last.usage, reason=last.finish_reason, model=last.model)
            raise
        usage, reason, model = (last.usage, last.finish_reason, last.model) if last else _NOTHING
        call.answered(usage, reason=reason, model=model)

    async def embed(self, texts: Texts) -> Vectors:
        """Return the inner provider's vectors."""
        call = _Call(self._embeddings)
        token = here.enter(call.span.here) if call.span else None
        try:
            vectors = await self._inner.embed(texts)
        except BaseException as exc:
            call.failed(exc)
            raise
        finally:
            if token is not None:
                here.leave(token)
        call.answered(vectors.usage, reason=None, model=None)
        return vectors


_NOTHING = (None, None, None)


async def _first(chunks: AsyncGenerator[Chunk, None], span: Span | None) -> Chunk | None:
    """Return the first chunk, asked for from within the span: the request leaves with it."""
    if span is None:
        return await anext(chunks, None)
    token = here.enter(span.here)
    try:
        return await anext(chunks, None)
    finally:
        here.leave(token)


def _describe(span: Span, options: Mapping[str, Any]) -> None:
    for option, attribute in _SETTINGS.items():
        value = options.get(option)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            span.values[attribute] = value


def _count(usage: Any, key: str) -> int | None:  # a JSON edge
    value = usage.get(key) if isinstance(usage, dict) else None
    return value if type(value) is int and value >= 0 else None
