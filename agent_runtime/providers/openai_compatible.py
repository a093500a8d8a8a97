"""OpenAI's chat completions, as any compatible endpoint speaks them.

Texts from the endpoint are passed on only when they explain a bad request to its sender.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import NoneType
from typing import Any

import aiohttp
import orjson

from agent_runtime.providers import failures, tokens
from agent_runtime.providers.base import Answer, Chunk, ErrorClass, Json, Prompt, ProviderError
from agent_runtime.providers.endpoint import NO_EVENT, Caller, Endpoint, Stream
from agent_runtime.providers.keys import KeyFile

_DONE = b"[DONE]"


class OpenAICompatible:
    """One model of one endpoint."""

    def __init__(
        self, endpoint: Endpoint, key: KeyFile | None, http: aiohttp.ClientSession
    ) -> None:
        self._model = endpoint.model
        self._caller = Caller(endpoint, "/chat/completions", http, key=key)

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the endpoint's whole answer."""
        async with self._caller.whole(self._body(prompt)) as body:
            choice = body["choices"][0]
            return _answer(prompt, choice["message"], choice, body.get("usage"))

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield the endpoint's chunks; raise `broken` if they end before the answer does."""
        extra = {"stream": True, "stream_options": {"include_usage": True}}
        reading = _Reading()
        try:
            async with (
                self._caller.opened({**self._body(prompt), **extra}) as stream,
                aclosing(self._chunks(stream, reading)) as chunks,
            ):
                async for chunk in chunks:
                    yield chunk
        except ProviderError as exc:
            # whatever ends an answer after its first chunk, it is a broken answer
            if not reading.begun:
                raise
            text = "broke off in the middle of its answer"
            raise self._caller.error(ErrorClass.BROKEN, text) from exc
        yield Chunk({}, reading.finish_reason, reading.usage)

    def _body(self, prompt: Prompt) -> Json:
        return {**prompt.options, "model": self._model, "messages": prompt.messages}

    async def _chunks(self, stream: Stream, reading: "_Reading") -> AsyncGenerator[Chunk, None]:
        try:
            async with aclosing(stream.events()) as events:
                async for event in events:
                    if event == _DONE:
                        break
                    for delta in self._deltas(orjson.loads(event), reading):
                        stream.silence.broken()
                        yield Chunk(delta)
        except NO_EVENT as exc:
            text = "sent something that is no chat completion chunk"
            raise self._caller.error(ErrorClass.BAD_ANSWER, text) from exc
        if reading.finish_reason is None:
            text = "ended its answer before it was complete"
            raise self._caller.error(ErrorClass.CONNECT, text)

    def _deltas(self, event: Any, reading: "_Reading") -> list[Json]:  # a JSON edge
        if error := failures.error_in(event):  # some write `"error": null` into good chunks
            raise self._caller.error_event(error)
        return reading.deltas(event)


def _answer(prompt: Prompt, message: Json, choice: Json, usage: Any) -> Answer:
    text = tokens.text_of(message)
    counted = usage if isinstance(usage, dict) else tokens.estimate(prompt.messages, text)
    # a session keeps the message: without a role it would spoil every later turn
    return Answer(
        {"role": "assistant", "content": None, **message},
        choice.get("finish_reason") or "stop",
        counted,
    )


class _Reading:
    """What a stream has told so far."""

    def __init__(self) -> None:
        self.begun = False
        self.finish_reason: str | None = None
        self.usage: Json | None = None

    def deltas(self, event: Any) -> list[Json]:  # a JSON edge
        """Return the deltas of one event, and remember its end and its usage."""
        if isinstance(usage := event.get("usage"), dict):
            self.usage = usage
        found = []
        for choice in event.get("choices") or ():
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            if delta := choice.get("delta"):
                _check_delta(delta)
                self.begun = True
                found.append(delta)
        return found


def _check_delta(delta: Any) -> None:  # a JSON edge
    """Raise TypeError if what follows could not put the message together."""
    _require(dict, delta)
    _require((str, NoneType), delta.get("content"))
    _require((list, NoneType), delta.get("tool_calls"))
    for call in delta.get("tool_calls") or ():
        _require(dict, call)
        _require(int, call.get("index", 0))
        _require((str, NoneType), call.get("id"))
        _require((dict, NoneType), call.get("function"))
        for text in ("name", "arguments"):
            _require((str, NoneType), (call.get("function") or {}).get(text))


def _require(kind: type | tuple[type, ...], value: object) -> None:
    if not isinstance(value, kind):
        raise TypeError
