"""The `input` of the responses API as messages of a chat.

A call and the text before it are two items there and one message here.
"""

from collections.abc import Callable, Mapping
from typing import Any

from agent_runtime.app.chat_request import missing, optional, wrong_type
from agent_runtime.app.errors import ApiError, invalid
from agent_runtime.providers.base import Json

_ROLES = ("user", "system", "developer", "assistant")


def messages_of(given: Any) -> list[Json]:  # a JSON edge
    """Return the messages; raise the `ApiError` that names the wrong item."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise wrong_type("input", "a string or an array of items")
    if not given:
        text = "Invalid 'input': empty array. Expected at least one item."
        raise invalid(text, param="input", code="empty_array")
    messages: list[Json] = []
    for number, item in enumerate(given):
        at = f"input[{number}]"
        if not isinstance(item, dict):
            raise wrong_type(at, "an object")
        _add(messages, item, at)
    return messages


def _add(messages: list[Json], item: Json, at: str) -> None:
    match item.get("type", "message"):
        case "message":
            messages.append(_message(item, at))
        case "function_call":
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": None})
            messages[-1].setdefault("tool_calls", []).append(_call(item, at))
        case "function_call_output":
            messages.append(_result(item, at))
        case _:
            text = (
                f"'{at}.type' is not supported here: use message, function_call or"
                " function_call_output."
            )
            raise invalid(text, param=f"{at}.type", code="unsupported_parameter")


def _message(item: Json, at: str) -> Json:
    role = item.get("role")
    if role not in _ROLES:
        text = f"Invalid value for '{at}.role': use one of {', '.join(_ROLES)}."
        raise invalid(text, param=f"{at}.role", code="invalid_value")
    content = item.get("content")
    if content is None:
        raise missing(f"{at}.content")
    return {"role": role, "content": _content(content, f"{at}.content")}


def _content(content: Any, at: str) -> str | list[Json]:  # a JSON edge
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise wrong_type(at, "a string or an array of content parts")
    parts = [_part(part, f"{at}[{number}]") for number, part in enumerate(content)]
    if all(part["type"] == "text" for part in parts):
        # what every endpoint takes, whoever's message it is
        return parts[0]["text"] if len(parts) == 1 else parts
    return parts


def _part(part: Any, at: str) -> Json:  # a JSON edge
    if not isinstance(part, dict):
        raise wrong_type(at, "an object")
    kind = part.get("type")
    read = _PARTS.get(kind) if isinstance(kind, str) else None
    if read is None:
        text = f"'{at}.type' is not supported here: use one of {', '.join(_PARTS)}."
        raise invalid(text, param=f"{at}.type", code="unsupported_parameter")
    return read(part, at)


def _text(part: Json, at: str) -> Json:
    return {"type": "text", "text": _given(part, "text", at)}


def _refusal(part: Json, at: str) -> Json:
    return {"type": "refusal", "refusal": _given(part, "refusal", at)}


def _image(part: Json, at: str) -> Json:
    if part.get("image_url") is None:
        raise _by_value(f"{at}.image_url")
    image = {"url": _given(part, "image_url", at)}
    if detail := optional(part, "detail", str, "a string", at=f"{at}."):
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def _file(part: Json, at: str) -> Json:
    if part.get("file_data") is None:
        raise _by_value(f"{at}.file_data")
    file = {"file_data": _given(part, "file_data", at)}
    if name := optional(part, "filename", str, "a string", at=f"{at}."):
        file["filename"] = name
    return {"type": "file", "file": file}


def _audio(part: Json, at: str) -> Json:
    return {"type": "input_audio", "input_audio": part.get("input_audio")}


_PARTS: Mapping[str, Callable[[Json, str], Json]] = {
    "input_text": _text,
    "output_text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}


def _call(item: Json, at: str) -> Json:
    name, arguments = _given(item, "name", at), _given(item, "arguments", at)
    function = {"name": name, "arguments": arguments}
    return {"id": _given(item, "call_id", at), "type": "function", "function": function}


def _result(item: Json, at: str) -> Json:
    output = item.get("output")
    if output is None:
        raise missing(f"{at}.output")
    content = _content(output, f"{at}.output")
    return {"role": "tool", "tool_call_id": _given(item, "call_id", at), "content": content}


def _given(item: Json, name: str, at: str) -> str:
    value = optional(item, name, str, "a string", at=f"{at}.")
    if value is None:
        raise missing(f"{at}.{name}")
    return str(value)


def _by_value(path: str) -> ApiError:
    text = f"Missing '{path}': nothing is stored here, so give the content itself and no id."
    return invalid(text, param=path, code="missing_required_parameter")
