"""OpenAI's chat completions and embeddings, as any compatible endpoint speaks them.

Texts from the endpoint are passed on only when they explain a bad request to its sender.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from types import NoneType
from typing import Any

import orjson

from agent_runtime.providers import failures, tokens
from agent_runtime.providers.base import Answer, Chunk, ErrorClass, Json, Prompt, Texts, Vectors
from agent_runtime.providers.connections import Connections
from agent_runtime.providers.endpoint import BEARER, Caller, Endpoint, ErrorEvent
from agent_runtime.providers.keys import KeyFile

ID_HEADER = "x-client-request-id"
_DONE = b"[DONE]"


class OpenAICompatible:
    """One model of one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        key: KeyFile | None,
        http: Connections,
        *,
        key_header: tuple[str, str] = BEARER,
        id_header: str = ID_HEADER,
    ) -> None:
        self._model = endpoint.model
        self._chat, self._embeddings = (
            Caller(endpoint, path, http, key=key, key_header=key_header, id_header=id_header)
            for path in ("/chat/completions", "/embeddings")
        )

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the endpoint's whole answer."""

        def read(body: Any) -> Answer:  # a JSON edge
            choice = body["choices"][0]
            answer = _answer(prompt, choice["message"], choice, body.get("usage"))
            return replace(answer, model=body.get("model"))

        return await self._chat.whole(self._body(prompt), read)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield the endpoint's chunks; raise `broken` if they end before the answer does."""
        extra = {"stream": True, "stream_options": {"include_usage": True}}
        body = {**self._body(prompt), **extra}
        async with aclosing(self._chat.chunks(body, _Reading())) as chunks:
            async for chunk in chunks:
                yield chunk

    async def embed(self, texts: Texts) -> Vectors:
        """Return the endpoint's vectors."""
        body = {**texts.options, "model": self._model, "input": texts.inputs}
        # not the endpoint's fault: so many numbers were asked for
        return await self._embeddings.whole(
            body, lambda answer: _vectors(texts, answer), too_long=ErrorClass.REFUSED
        )

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


def _vectors(texts: Texts, answer: Any) -> Vectors:  # a JSON edge
    found = {item["index"]: item["embedding"] for item in answer["data"]}
    vectors = [found[index] for index in range(len(texts.inputs))]
    for vector in vectors:
        _require((str, list), vector)
    usage = answer.get("usage")
    return Vectors(vectors, usage if isinstance(usage, dict) else tokens.of_inputs(texts.inputs))


class _Reading:
    """What a stream has told so far."""

    def __init__(self) -> None:
        self.ended = False
        self.finish_reason: str | None = None
        self.usage: Json | None = None
        self.model: str | None = None

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
        self.model = self.model or parsed.get("model")
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
