"""Reads a chat completion request as OpenAI does: strict where it matters, and otherwise patient.

Parameters that we do not know are the model's business and are passed on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from agent_runtime.app.errors import ApiError, invalid
from agent_runtime.providers.base import Json

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_OURS = frozenset({"model", "messages", "stream", "stream_options", "n"})


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A valid request."""

    model: str | None
    messages: Sequence[Json]
    stream: bool
    include_usage: bool
    options: Json
    repeated: Json = field(default_factory=dict)
    """What the answer has to repeat of the request."""


def parse(body: bytes) -> ChatRequest:
    """Return the request in a body; raise the `ApiError` that names the wrong parameter."""
    document = json_object(body)
    if document.get("n") not in (None, 1):
        raise invalid("'n' must be 1.", param="n", code="unsupported_value")
    return ChatRequest(
        model=optional(document, "model", str, "a string") or None,
        messages=_messages(document),
        stream=bool(optional(document, "stream", bool, "a boolean")),
        include_usage=_include_usage(document),
        options={key: value for key, value in document.items() if key not in _OURS},
    )


def json_object(body: bytes) -> Json:
    """Return the JSON object in a body."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise invalid("We could not parse the JSON body of your request.") from exc
    if not isinstance(document, dict):
        raise invalid("The request body must be a JSON object.")
    _check_depth(document)
    return document


def _check_depth(document: Json) -> None:
    try:
        orjson.dumps(document)  # reads four times as deep as it writes
    except orjson.JSONEncodeError as exc:
        raise invalid("The request body is nested too deeply.") from exc


def optional(document: Json, name: str, kind: type, wanted: str, *, at: str = "") -> Any:
    """Return a field, None if it is absent, or raise; `at` is the path of the document."""
    value = document.get(name)
    if value is not None and (
        not isinstance(value, kind) or (kind is int and isinstance(value, bool))
    ):
        raise wrong_type(f"{at}{name}", wanted)
    return value


def _include_usage(document: Json) -> bool:
    options = optional(document, "stream_options", dict, "an object")
    if options is None:
        return False
    if not document.get("stream"):
        text = "'stream_options' is only allowed when 'stream' is enabled."
        raise invalid(text, param="stream_options", code="invalid_value")
    return options.get("include_usage") is True


def _messages(document: Json) -> list[Json]:
    if "messages" not in document:
        raise missing("messages")
    messages = document["messages"]
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array")
    if not messages:
        text = "Invalid 'messages': empty array. Expected at least one message."
        raise invalid(text, param="messages", code="empty_array")
    for number, message in enumerate(messages):
        _check(message, f"messages[{number}]")
    return messages


def _check(message: object, path: str) -> None:
    if not isinstance(message, dict):
        raise wrong_type(path, "an object")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        text = f"Invalid value for '{path}.role': use one of {', '.join(sorted(_ROLES))}."
        raise invalid(text, param=f"{path}.role", code="invalid_value")
    content = message.get("content")
    if content is None and role in ("user", "system", "developer"):
        raise missing(f"{path}.content")
    parts_are_objects = isinstance(content, list) and all(isinstance(p, dict) for p in content)
    if not (content is None or isinstance(content, str) or parts_are_objects):
        raise wrong_type(f"{path}.content", "a string or an array of content parts")


def missing(path: str) -> ApiError:
    """Return the error for a field that is not there."""
    text = f"Missing required parameter: '{path}'."
    return invalid(text, param=path, code="missing_required_parameter")


def wrong_type(path: str, wanted: str) -> ApiError:
    """Return the error for a field of another type."""
    text = f"Invalid type for '{path}': expected {wanted}."
    return invalid(text, param=path, code="invalid_type")
