"""What was said, for traces that are to hold it: messages in the form of the GenAI conventions.

Called where an agent talks to its route: what personal data rules are about is a placeholder there.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from agent_runtime.observability.tracing import here

EVENT = "gen_ai.client.inference.operation.details"
MAX_TEXT = 8_192
"""Characters of one text; the rest is cut off."""
MAX_BYTES = 65_536
"""Of all messages of one side; the newest are kept."""

Json = Mapping[str, Any]


def tell(asked: Sequence[Json], answered: Json, finish_reason: str) -> None:
    """Add what was asked and answered to the span that we are in, if it may hold it."""
    place = here.current()
    span = place.span if place is not None else None
    if span is None or not span.captures_content:
        return
    said = {**_message(answered), "finish_reason": finish_reason}
    span.told(
        EVENT,
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": _bounded([_message(each) for each in asked]),
            "gen_ai.output.messages": _bounded([said]),
        },
    )


def _bounded(messages: Sequence[Json]) -> str:
    """Return messages as JSON, the oldest left out where there are too many."""
    kept: list[bytes] = []
    size = 0
    for message in reversed(messages):
        raw = orjson.dumps(message)
        size += len(raw) + 1
        if size > MAX_BYTES:
            break
        kept.append(raw)
    return (b"[" + b",".join(reversed(kept)) + b"]").decode()


def _message(message: Json) -> dict[str, Any]:
    role = message.get("role")
    return {"role": role if isinstance(role, str) else "user", "parts": list(_parts(message))}


def _parts(message: Json) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") == "tool":
        said = _cut(content) if isinstance(content, str) else ""
        yield {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": said}
        return
    if isinstance(content, str) and content:
        yield {"type": "text", "content": _cut(content)}
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and isinstance(text := part.get("text"), str):
            yield {"type": "text", "content": _cut(text)}
        elif isinstance(part, dict):  # an image, a sound: only that there was one
            yield {"type": _cut(str(part.get("type")))}
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            arguments = _cut(str(function.get("arguments")))
            name = function.get("name")
            yield {"type": "tool_call", "id": call.get("id"), "name": name, "arguments": arguments}


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."
