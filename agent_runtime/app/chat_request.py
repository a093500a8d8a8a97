"""Reads a chat completion request as OpenAI does: strict where it matters, and otherwise patient.

Parameters that we do not know are the model's business and are passed on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from agent_runtime.app.errors import invalid
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


def parse(body: bytes) -> ChatRequest:
    """Return the request in a body; raise the `ApiError` that names the wrong parameter."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise invalid("We could not parse the JSON body of your request.") from exc
    if not isinstance(document, dict):
        raise invalid("The request body must be a JSON object.")
    _check_depth(document)
    if document.get("n") not in (None, 1):
        raise invalid("'n' must be 1.", param="n", code="unsupported_value")
    return ChatRequest(
        model=_optional(document, "model", str, "a string") or None,
        messages=_messages(document),
        stream=bool(_optional(document, "stream", bool, "a boolean")),
        include_usage=_include_usage(document),
        options={key: value for key, value in document.items() if key not in _OURS},
    )


def _check_depth(document: Json) -> None:
    try:
        orjson.dumps(document)  # reads four times as deep as it writes
    except orjson.JSONEncodeError as exc:
        raise invalid("The request body is nested too deeply.") from exc


def _optional(document: Json, name: str, kind: type, wanted: str) -> Any:
    value = document.get(name)
    if value is not None and not isinstance(value, kind):
        raise _wrong_type(name, wanted)
    return value


def _include_usage(document: Json) -> bool:
    options = _optional(document, "stream_options", dict, "an object")
    if options is None:
        return False
    if not document.get("stream"):
        text = "'stream_options' is only allowed when 'stream' is enabled."
        raise invalid(text, param="stream_options", code="invalid_value")
    return options.get("include_usage") is True


def _messages(document: Json) -> list[Json]:
    if "messages" not in document:
        text = "Missing required parameter: 'messages'."
        raise invalid(text, param="messages", code="missing_required_parameter")
    messages = document["messages"]
    if not isinstance(messages, list):
        raise _wrong_type("messages", "an array")
    if not messages:
        text = "Invalid 'messages': empty array. Expected at least one message."
        raise invalid(text, param="messages", code="empty_array")
    for number, message in enumerate(messages):
        _check(message, f"messages[{number}]")
    return messages


def _check(message: object, path: str) -> None:
    if not isinstance(message, dict):
        raise _wrong_type(path, "an object")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        text = f"Invalid value for '{path}.role': use one of {', '.join(sorted(_ROLES))}."
        raise invalid(text, param=f"{path}.role", code="invalid_value")
    content = message.get("content")
    if content is None and role in ("user", "system", "developer"):
        text = f"Missing required parameter: '{path}.content'."
        raise invalid(text, param=f"{path}.content", code="missing_required_parameter")
    parts_are_objects = isinstance(content, list) and all(isinstance(p, dict) for p in content)
    if not (content is None or isinstance(content, str) or parts_are_objects):
        raise _wrong_type(f"{path}.content", "a string or an array of content parts")


def _wrong_type(path: str, wanted: str) -> Exception:
    text = f"Invalid type for '{path}': expected {wanted}."
    return invalid(text, param=path, code="invalid_type")
