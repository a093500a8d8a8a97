"""OpenAI's chat completions, as any compatible endpoint speaks them.

Texts from the endpoint are passed on only when they explain a bad request to its sender.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from types import NoneType
from typing import Any

import aiohttp
import orjson

from agent_runtime.providers import failures, tokens
from agent_runtime.providers.base import Answer, Chunk, Json, Prompt
from agent_runtime.providers.endpoint import Caller, Endpoint, ErrorEvent
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
        body = {**self._body(prompt), **extra}
        async with aclosing(self._caller.chunks(body, _Reading())) as chunks:
            async for chunk in chunks:
                yield chunk

    def _body(self, prompt: Prompt) -> Json:
        return {**prompt.options, "model": self._model, "messages": prompt.messages}


def _answer(prompt: Prompt, message: Json, choice: Json, usage: Any) -> Answer:
    text = tokens.text_of(message)
    counted = usage if isinstance(usage, dict) else tokens.estimate(prompt.messages, text)
    # a session keeps the message: without a role it would spoil every later turn
    return Answer(
        {"role": "assistant", "content": None, **message},
        choice.get("finish_reason") or "stop",
        counted,
        estimated=counted is not usage,
    )


class _Reading:
    """What a stream has told so far."""

    def __init__(self) -> None:
        self.ended = False
        self.finish_reason: str | None = None
        self.usage: Json | None = None

    def read(self, event: bytes) -> Sequence[Json]:
        """Return the deltas of one event, and remember its end and its usage."""
        if event == _DONE:
            self.ended = True
            return ()
        parsed = orjson.loads(event)
        if error := failures.error_in(parsed):  # some write `"error": null` into good chunks
            raise ErrorEvent(error)
        if isinstance(usage := parsed.get("usage"), dict):
            self.usage = usage
        found = []
        for choice in parsed.get("choices") or ():
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            if delta := choice.get("delta"):
                _check_delta(delta)
                if said := _said(delta):
                    found.append(said)
        return found


def _said(delta: Json) -> Json:
    """Return what a delta says: the first one often names nothing but the role.

    Until something was said another provider can take over.
    """
    return {key: value for key, value in delta.items() if key != "role" and value}


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
