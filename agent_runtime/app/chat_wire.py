"""Chat completions as they go over the wire: whole, or as a stream of chunks."""

import secrets
import time
from typing import Any

import orjson

from agent_runtime.app import chat_request
from agent_runtime.app.chat_request import ChatRequest
from agent_runtime.app.errors import ApiError
from agent_runtime.providers.base import Answer, Chunk, Json

DONE = b"data: [DONE]\n\n"


def new_id() -> str:
    """Return an id for a completion, which is the request's id as well."""
    return f"chatcmpl-{secrets.token_hex(12)}"


def completion(completion_id: str, model: str, answer: Answer) -> bytes:
    """Return a whole completion."""
    choice = {
        "index": 0,
        "message": {"refusal": None, **answer.message},
        "logprobs": None,
        "finish_reason": answer.finish_reason,
    }
    return orjson.dumps(
        {
            "id": completion_id,
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "choices": [choice],
            "usage": answer.usage,
        }
    )


class Completions:
    """The dialect of `/v1/chat/completions`."""

    new_id = staticmethod(new_id)
    parse = staticmethod(chat_request.parse)

    def whole(self, call_id: str, model: str, _asked: ChatRequest, answer: Answer) -> bytes:
        """Return a whole completion."""
        return completion(call_id, model, answer)

    def writer(self, call_id: str, model: str, asked: ChatRequest) -> "ChunkWriter":
        """Return what writes a stream."""
        return ChunkWriter(call_id, model, include_usage=asked.include_usage)

    def frame(self, error: ApiError, _sent: int) -> bytes:
        """Return the event that ends a stream by telling an error."""
        return error.frame()


class ChunkWriter:
    """Writes one stream's events; the first delta names the role."""

    def __init__(self, completion_id: str, model: str, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._common: dict[str, Any] = {
            "id": completion_id,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        if include_usage:
            self._common["usage"] = None
        self._begun = False

    def event(self, chunk: Chunk) -> bytes:
        """Return the event of one piece of the answer."""
        delta = chunk.delta
        if not self._begun:
            delta = {"role": "assistant", **delta}
            self._begun = True
        choice = {"index": 0, "delta": delta, "logprobs": None}
        return self._event([choice | {"finish_reason": chunk.finish_reason}], {})

    def ending(self, last: Chunk) -> bytes:
        """Return the events from the last piece on; with the usage, if the client asked for it."""
        usage = self._event([], {"usage": last.usage}) if self._include_usage else b""
        return self.event(last) + usage + DONE

    def failed(self, error: ApiError, _sent: int) -> bytes:
        """Return the event that ends a stream by telling an error."""
        return error.frame()

    def _event(self, choices: list[Json], extra: Json) -> bytes:
        return b"data: " + orjson.dumps({**self._common, "choices": choices, **extra}) + b"\n\n"
