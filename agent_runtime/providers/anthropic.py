"""Anthropic's messages API over real HTTP, behind the interface that every model has.

Protocol: POST {baseURL}/messages, version 2023-06-01; streams are events of the API's own types.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import orjson

from agent_runtime.providers import anthropic_wire, embedding, failures, prompt_cache, tokens
from agent_runtime.providers.anthropic_wire import Untranslatable
from agent_runtime.providers.base import Answer, Chunk, ErrorClass, Json, Prompt, Texts, Vectors
from agent_runtime.providers.connections import Connections
from agent_runtime.providers.endpoint import MALFORMED, Caller, Endpoint, ErrorEvent
from agent_runtime.providers.keys import KeyFile
from agent_runtime.providers.prompt_cache import Payback

VERSION = "2023-06-01"


class Anthropic:
    """One model of one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        key: KeyFile | None,
        http: Connections,
        *,
        prompt_caching: bool = True,
    ) -> None:
        """`prompt_caching` marks prompts where it pays."""
        self._model = endpoint.model
        self._least = prompt_cache.least_tokens(endpoint.model)
        self._payback = Payback() if prompt_caching else None
        headers = {"anthropic-version": VERSION, **endpoint.headers}
        self._caller = Caller(
            replace(endpoint, headers=headers),
            "/messages",
            http,
            key=key,
            key_header=("x-api-key", ""),
        )

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the endpoint's whole answer."""

        def read(body: Any) -> Answer:  # a JSON edge
            message = anthropic_wire.message(body["content"])
            told = anthropic_wire.usage(body.get("usage"))
            self._saw(told)
            counted = told or tokens.estimate(prompt.messages, tokens.text_of(message))
            reason = anthropic_wire.finish_reason(body["stop_reason"])
            model = body.get("model")
            return Answer(message, reason, counted, estimated=told is None, model=model)

        return await self._caller.whole(self._body(prompt), read)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield the endpoint's chunks; raise `broken` if they end before the answer does."""
        body = {**self._body(prompt), "stream": True}
        async with aclosing(self._caller.chunks(body, _Reading())) as chunks:
            async for chunk in chunks:
                if chunk.finish_reason is not None:
                    self._saw(chunk.usage)
                yield chunk

    async def embed(self, _texts: Texts) -> Vectors:
        """Raise `unsupported`: the API has no embeddings."""
        raise self._caller.error(
            ErrorClass.UNSUPPORTED, "has no embeddings", detail=embedding.UNSUPPORTED
        )

    def _body(self, prompt: Prompt) -> Json:
        try:
            body = anthropic_wire.request(self._model, prompt.messages, prompt.options)
        except Untranslatable as exc:
            detail = {"param": exc.param}
            text = f"does not take {exc}; leave it out"
            raise self._caller.error(ErrorClass.UNSUPPORTED, text, detail=detail) from exc
        except MALFORMED as exc:
            text = "does not take this: a part of messages or tools is not as the API defines it"
            raise self._caller.error(ErrorClass.REFUSED, text) from exc
        if self._payback is not None and self._payback.pays:
            prompt_cache.mark(body, self._least)
        return body

    def _saw(self, usage: Json | None) -> None:
        if self._payback is not None:
            self._payback.saw(usage)


class _Reading:
    """What a stream has told so far."""

    def __init__(self) -> None:
        self.ended = False
        self.finish_reason: str | None = None
        self.model: str | None = None
        self._told: list[Any] = []
        self._calls: dict[int, int] = {}
        """Numbers of the tool calls by their block's index: OpenAI counts tool calls alone."""

    @property
    def usage(self) -> Json | None:
        """The usage, as far as it was told."""
        return anthropic_wire.usage(*self._told)

    def read(self, event: bytes) -> Sequence[Json] | None:
        """Return what an event adds to the answer, and remember what it says about it."""
        parsed = orjson.loads(event)
        if error := failures.error_in(parsed):
            raise ErrorEvent(error)
        match parsed["type"]:
            case "message_start":
                self._told.append(parsed["message"].get("usage"))
                self.model = parsed["message"].get("model")
            case "content_block_start":
                return self._opened(parsed["index"], parsed["content_block"])
            case "content_block_delta":
                return self._added(parsed["index"], parsed["delta"])
            case "message_delta":
                self._told.append(parsed.get("usage"))
                if (reason := parsed["delta"].get("stop_reason")) is not None:
                    self.finish_reason = anthropic_wire.finish_reason(reason)
            case "message_stop":
                self.ended = True
        return None

    def _opened(self, index: int, block: Any) -> Sequence[Json]:  # a JSON edge
        if block["type"] == "text" and block.get("text"):
            return [{"content": _text(block["text"])}]
        if block["type"] != "tool_use":
            return ()
        number = self._calls[index] = len(self._calls)
        function = {"name": _text(block["name"]), "arguments": ""}
        call = {"index": number, "id": _text(block["id"]), "type": "function", "function": function}
        return [{"tool_calls": [call]}]

    def _added(self, index: int, delta: Any) -> Sequence[Json]:  # a JSON edge
        match delta["type"]:
            case "text_delta":
                return [{"content": _text(delta["text"])}]
            case "input_json_delta":
                function = {"arguments": _text(delta["partial_json"])}
                return [{"tool_calls": [{"index": self._calls[index], "function": function}]}]
            case _:  # thinking stays with the model, but is work on the answer
                return ()


def _text(value: Any) -> str:  # a JSON edge
    if not isinstance(value, str):
        raise TypeError
    return value
