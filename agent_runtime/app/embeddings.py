"""`POST /v1/embeddings`: vectors of an agent's route. No session, no instructions, no stream."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from agent_runtime.agents.agent import Agent
from agent_runtime.app.arrival import new_request_id
from agent_runtime.app.chat import AgentEndpoint, Call
from agent_runtime.app.chat_request import json_object, missing, optional, wrong_type
from agent_runtime.app.errors import ApiError, invalid
from agent_runtime.providers.base import Json, Vectors

MAX_INPUTS = 2048  # of OpenAI's API

_OURS = frozenset({"model", "input"})
_FORMATS = ("float", "base64")


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """A valid request."""

    model: str | None
    inputs: Sequence[str | Sequence[int]]
    options: Json


class EmbeddingsEndpoint(AgentEndpoint[EmbeddingsRequest]):
    """Answers embeddings."""

    operation = "embeddings"

    def new_id(self) -> str:
        """Return the id of a request; its answer has none."""
        return new_request_id()

    def _parse(self, body: bytes) -> EmbeddingsRequest:
        return parse(body)

    def _frame(self, error: ApiError, _sent: int) -> bytes:
        return error.frame()

    async def _answer_here(self, call: Call, asked: EmbeddingsRequest, agent: Agent) -> None:
        found = await agent.embed(asked.inputs, asked.options, self._open(call))
        self._count_tokens(call, found.usage)
        self._tell(call)
        await call.reply.json_bytes(whole(agent.name, found))


def parse(body: bytes) -> EmbeddingsRequest:
    """Return the request in a body; raise the `ApiError` that names the wrong parameter.

    Parameters that we do not know are the model's business, as in a chat.
    """
    document = json_object(body)
    dimensions = optional(document, "dimensions", int, "an integer")
    if dimensions is not None and dimensions < 1:
        text = "Invalid 'dimensions': must be 1 or more."
        raise invalid(text, param="dimensions", code="invalid_value")
    form = optional(document, "encoding_format", str, "a string")
    if form not in (None, *_FORMATS):
        text = f"Invalid value for 'encoding_format': use one of {', '.join(_FORMATS)}."
        raise invalid(text, param="encoding_format", code="invalid_value")
    return EmbeddingsRequest(
        model=optional(document, "model", str, "a string") or None,
        inputs=_inputs(document),
        options={key: value for key, value in document.items() if key not in _OURS},
    )


def _inputs(document: Json) -> Sequence[str | Sequence[int]]:
    given = document.get("input")
    if given is None:
        raise missing("input")
    inputs = given if isinstance(given, list) and not _is_tokens(given) else [given]
    if not 1 <= len(inputs) <= MAX_INPUTS:
        text = f"Invalid 'input': must hold 1 to {MAX_INPUTS} texts."
        raise invalid(text, param="input", code="invalid_value")
    for number, one in enumerate(inputs):
        at = f"input[{number}]" if inputs is given else "input"
        if one in ("", []):
            raise invalid(f"Invalid '{at}': must not be empty.", param=at, code="invalid_value")
        if not isinstance(one, str) and not (isinstance(one, list) and _is_tokens(one)):
            raise wrong_type(at, "a string or an array of token ids")
    return inputs


def _is_tokens(given: list[Any]) -> bool:  # a JSON edge
    return bool(given) and all(type(number) is int for number in given)


def whole(model: str, found: Vectors) -> bytes:
    """Return the body of an answer."""
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(found.vectors)
    ]
    return orjson.dumps({"object": "list", "data": data, "model": model, "usage": found.usage})
