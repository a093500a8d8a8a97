"""Reads a request of OpenAI's responses API as the chat that it is.

What a chat with an agent cannot do is refused by name and never dropped: a client that asked for it
would rely on it.
"""

from collections.abc import Sequence
from typing import Any

from agent_runtime.app.chat_request import (
    ChatRequest,
    json_object,
    missing,
    optional,
    wrong_type,
)
from agent_runtime.app.errors import ApiError, invalid
from agent_runtime.app.responses_input import messages_of
from agent_runtime.providers.base import Json

# our name: theirs
_AS_THEY_ARE = {
    "temperature": "temperature",
    "top_p": "top_p",
    "parallel_tool_calls": "parallel_tool_calls",
    "user": "user",
    "safety_identifier": "safety_identifier",
    "prompt_cache_key": "prompt_cache_key",
    "service_tier": "service_tier",
    "max_completion_tokens": "max_output_tokens",
}
_REPEATED = (
    "instructions",
    "max_output_tokens",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "user",
)
_OTHERS = frozenset({"model", "input", "stream", "stream_options", "metadata", "store"})
_STATELESS = "send the whole conversation, or what is new with the header X-Session-Id"
# what a chat has no counterpart for: the values that mean "without it", and what to do instead
_WITHOUT: dict[str, tuple[Sequence[Any], str]] = {
    "previous_response_id": ((), f"responses are not stored; {_STATELESS}"),
    "conversation": ((), f"conversations are not stored; {_STATELESS}"),
    "store": ((False,), "responses are not stored; set it to false, or leave it out"),
    "background": ((False,), "an answer is given at once or streamed; leave it out"),
    "truncation": (("disabled",), "nothing is cut out of a conversation; leave it out"),
    "include": (([],), "nothing can be added to the answer; leave it out"),
    "prompt": ((), "stored prompts are unknown here; write it into instructions and input"),
    "max_tool_calls": ((), "it bounds built-in tools, and there are none; leave it out"),
    "top_logprobs": ((0,), "log probabilities are not returned; leave it out"),
}
_KNOWN = frozenset({*_AS_THEY_ARE.values(), *_REPEATED, *_OTHERS, *_WITHOUT})
METADATA_KEYS = 16  # of OpenAI's API, as the lengths
_METADATA_KEY, _METADATA_VALUE = 64, 512


def parse(body: bytes) -> ChatRequest:
    """Return the chat in a body; raise the `ApiError` that names the wrong parameter."""
    document = json_object(body)
    for name in document:
        if name not in _KNOWN:
            path = name[:100]
            text = f"Unknown parameter: '{path}'."
            raise invalid(text, param=path, code="unknown_parameter")
    for name, (allowed, instead) in _WITHOUT.items():
        if document.get(name) is not None and document[name] not in allowed:
            raise unsupported(name, instead)
    optional(document, "stream_options", dict, "an object")
    return ChatRequest(
        model=optional(document, "model", str, "a string") or None,
        messages=_messages(document),
        stream=bool(optional(document, "stream", bool, "a boolean")),
        include_usage=True,
        options=_options(document),
        repeated={
            **{name: document[name] for name in _REPEATED if document.get(name) is not None},
            "metadata": _metadata(document),
        },
    )


def unsupported(path: str, instead: str) -> ApiError:
    """Return the error for what a chat with an agent cannot do."""
    text = f"'{path}' is not supported here: {instead}."
    return invalid(text, param=path, code="unsupported_parameter")


def _messages(document: Json) -> list[Json]:
    instructions = optional(document, "instructions", str, "a string")
    if document.get("input") is None:
        raise missing("input")
    first = [{"role": "system", "content": instructions}] if instructions else []
    return [*first, *messages_of(document["input"])]


def _options(document: Json) -> Json:
    options = {
        ours: document[theirs]
        for ours, theirs in _AS_THEY_ARE.items()
        if document.get(theirs) is not None
    }
    return {
        **options,
        **_tools(document),
        **_text(optional(document, "text", dict, "an object") or {}),
        **_reasoning(optional(document, "reasoning", dict, "an object") or {}),
    }


def _tools(document: Json) -> Json:
    found = [
        _tool(tool, f"tools[{number}]")
        for number, tool in enumerate(optional(document, "tools", list, "an array") or ())
    ]
    if not found:
        return {}
    choice = _choice(document.get("tool_choice"))
    return {"tools": found, **({} if choice is None else {"tool_choice": choice})}


def _tool(tool: Any, at: str) -> Json:  # a JSON edge
    if not isinstance(tool, dict):
        raise wrong_type(at, "an object")
    if tool.get("type") != "function":
        raise unsupported(f"{at}.type", "only tools of type function; there are no built-in tools")
    name = optional(tool, "name", str, "a string", at=f"{at}.")
    if not name:
        raise missing(f"{at}.name")
    kept = ("name", "description", "parameters", "strict")
    return {
        "type": "function",
        "function": {key: tool[key] for key in kept if tool.get(key) is not None},
    }


def _choice(choice: Any) -> Any:  # a JSON edge
    match choice:
        case None | "auto" | "none" | "required":
            return choice
        case {"type": "function", "name": str(name)}:
            return {"type": "function", "function": {"name": name}}
        case _:
            raise unsupported("tool_choice", "use auto, none, required or a function's name")


def _text(text: Json) -> Json:
    verbosity = text.get("verbosity")
    found = {} if verbosity is None else {"verbosity": verbosity}
    match text.get("format"):
        case None | {"type": "text"}:
            return found
        case {"type": "json_object"}:
            return {**found, "response_format": {"type": "json_object"}}
        case {"type": "json_schema", "name": str(), "schema": dict()} as wanted:
            kept = ("name", "description", "schema", "strict")
            schema = {key: wanted[key] for key in kept if wanted.get(key) is not None}
            return {**found, "response_format": {"type": "json_schema", "json_schema": schema}}
        case _:
            raise unsupported("text.format", "use text, json_object, or json_schema with a name")


def _reasoning(reasoning: Json) -> Json:
    for name in reasoning:
        if name != "effort" and reasoning[name] is not None:
            raise unsupported(f"reasoning.{name[:100]}", "reasoning stays with the model")
    effort = reasoning.get("effort")
    return {} if effort is None else {"reasoning_effort": effort}


def _metadata(document: Json) -> Json:
    metadata: Json = optional(document, "metadata", dict, "an object") or {}
    fitting = all(
        len(key) <= _METADATA_KEY and isinstance(value, str) and len(value) <= _METADATA_VALUE
        for key, value in metadata.items()
    )
    if len(metadata) > METADATA_KEYS or not fitting:
        text = (
            f"Invalid 'metadata': at most {METADATA_KEYS} keys of {_METADATA_KEY} characters, with "
            f"texts of {_METADATA_VALUE}."
        )
        raise invalid(text, param="metadata", code="invalid_value")
    return metadata
