"""OpenAI's chat completions in the words of Anthropic's messages API, and back. Pure.

What a client may say is OpenAI's. What has no counterpart here (`seed`, `logprobs`, penalties) is
refused by name, so that another provider of the chain may do it, and nobody relies on it in vain.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from agent_runtime.providers.base import Json

MAX_TOKENS = 4096
"""The API wants a bound, and every model of it can write so much."""

_AS_THEY_ARE = ("temperature", "top_p", "top_k", "thinking", "metadata", "service_tier")
_TRANSLATED = frozenset(
    {
        *_AS_THEY_ARE, "max_completion_tokens", "max_tokens", "parallel_tool_calls",
        "response_format", "stop", "tool_choice", "tools", "user",
    }
)  # fmt: skip
# they say nothing about the answer
_NEEDLESS = frozenset(
    {"prediction", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store"}
)
_STOP_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_MESSAGES = "messages"
_JSON_ONLY = "Answer with one JSON object and nothing else."


class Untranslatable(Exception):
    """Part of a request has no form in the messages API; says what, and names the parameter."""

    def __init__(self, what: str, param: str) -> None:
        super().__init__(what)
        self.param = param


def request(model: str, messages: Sequence[Json], options: Json) -> Json:
    """Return the body that asks the same; raises Untranslatable."""
    _check(options)
    system, turns = _conversation(messages)
    body: Json = {
        "model": model,
        "max_tokens": _first(options, "max_completion_tokens", "max_tokens") or MAX_TOKENS,
        "messages": turns,
        **{key: options[key] for key in _AS_THEY_ARE if options.get(key) is not None},
    }
    if (stop := options.get("stop")) is not None:
        body["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if isinstance(user := options.get("user"), str) and "metadata" not in body:
        body["metadata"] = {"user_id": user}
    body |= _tools(options)
    output, demand = _output(options.get("response_format"))
    body |= output
    if system := [*system, *demand]:
        body["system"] = [{"type": "text", "text": text} for text in system]
    return body


def _check(options: Json) -> None:
    for name, value in options.items():
        if name in _TRANSLATED or name in _NEEDLESS or not value:
            continue  # null, false, 0 and nothing mean "without it"
        if name != "modalities" or value != ["text"]:
            raise Untranslatable(f"the parameter {name[:100]!r}", name[:100])


def _first(options: Json, *names: str) -> Any:
    return next((options[name] for name in names if options.get(name) is not None), None)


def _conversation(messages: Sequence[Json]) -> tuple[list[str], list[Json]]:
    """Return the system's texts, and the turns of user and assistant, which alternate."""
    system: list[str] = []
    turns: list[Json] = []
    for message in messages:
        role = message["role"]
        if role in ("system", "developer"):
            system += _texts(message.get("content"))
            continue
        speaker = "assistant" if role == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == speaker:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": speaker, "content": blocks})
    return system, turns


def _blocks(message: Json) -> list[Json]:
    if message["role"] in ("tool", "function"):
        result = {
            "type": "tool_result",
            "tool_use_id": message.get("tool_call_id") or message.get("name") or "",
            "content": _found(message.get("content")),
        }
        return [result]
    blocks = _content(message.get("content"))
    return [*blocks, *(_tool_use(call) for call in message.get("tool_calls") or ())]


def _parts(content: Any) -> Iterable[Json]:  # a JSON edge
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content or ()


def _content(content: Any) -> list[Json]:  # a JSON edge
    return [block for part in _parts(content) if (block := _block(part))]


def _texts(content: Any) -> list[str]:  # a JSON edge
    blocks = _content(content)
    if any(block["type"] != "text" for block in blocks):
        raise Untranslatable("system messages with anything but text", _MESSAGES)
    return [block["text"] for block in blocks]


def _found(content: Any) -> str | list[Json]:  # a JSON edge
    """Return what a tool has found: a text, or blocks if there is more than text."""
    blocks = _content(content)
    if all(block["type"] == "text" for block in blocks):
        return "".join(block["text"] for block in blocks)
    return blocks


def _block(part: Json) -> Json | None:
    match part.get("type"):
        case "text":
            # an empty text is refused there
            return {"type": "text", "text": part["text"]} if part.get("text") else None
        case "image_url":
            return {"type": "image", "source": _source(part["image_url"]["url"])}
        case "refusal":
            return {"type": "text", "text": part["refusal"]} if part.get("refusal") else None
        case other:
            raise Untranslatable(f"content parts of type {str(other)[:100]!r}", _MESSAGES)


def _source(url: str) -> Json:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    kind, _, content = url.removeprefix("data:").partition(";base64,")
    if not content:
        raise Untranslatable("images whose data URL is not base64", _MESSAGES)
    return {"type": "base64", "media_type": kind, "data": content}


def _tool_use(call: Json) -> Json:
    function = call["function"]
    said = function.get("arguments") or "{}"
    return {
        "type": "tool_use",
        "id": call["id"],
        "name": function["name"],
        "input": orjson.loads(said),
    }


def _tools(options: Json) -> Json:
    tools = [_tool(tool) for tool in options.get("tools") or ()]
    if not tools:
        return {}
    choice = _tool_choice(options.get("tool_choice"))
    if options.get("parallel_tool_calls") is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return {"tools": tools, "tool_choice": choice}


def _tool(offered: Json) -> Json:
    if (kind := offered.get("type", "function")) != "function":
        raise Untranslatable(f"tools of type {str(kind)[:100]!r}", "tools")
    function = offered["function"]
    tool = {
        "name": function["name"],
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
    }
    for key in ("description", "strict"):
        if function.get(key):
            tool[key] = function[key]
    return tool


def _tool_choice(choice: Any) -> Json:  # a JSON edge
    match choice:
        case None | "auto":
            return {"type": "auto"}
        case "none":
            return {"type": "none"}
        case "required":
            return {"type": "any"}
        case {"type": "function", "function": {"name": str(name)}}:
            return {"type": "tool", "name": name}
        case _:
            raise Untranslatable("this tool_choice", "tool_choice")


def _output(wanted: Any) -> tuple[Json, list[str]]:  # a JSON edge
    """Return what a response format adds to the request, and to the system's texts."""
    match wanted:
        case None | {"type": "text"}:
            return {}, []
        case {"type": "json_object"}:  # nothing but words makes the API do that
            return {}, [_JSON_ONLY]
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}, []
        case _:
            raise Untranslatable("this response_format", "response_format")


def message(blocks: Sequence[Json]) -> Json:
    """Return the assistant's message that content blocks make; thinking is left out."""
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    calls = [
        {
            "id": block["id"],
            "type": "function",
            "function": {
                "name": block["name"],
                "arguments": orjson.dumps(block["input"]).decode(),
            },
        }
        for block in blocks
        if block["type"] == "tool_use"
    ]
    found: Json = {"role": "assistant", "content": text or (None if calls else "")}
    return {**found, "tool_calls": calls} if calls else found


def finish_reason(stop_reason: Any) -> str:  # a JSON edge
    """Return OpenAI's word for why an answer ended."""
    return _STOP_REASONS.get(stop_reason, "stop")


def usage(*told: Any) -> Json | None:  # a JSON edge
    """Return OpenAI's usage of one or more usage objects, of which later figures replace earlier.

    Here `input_tokens` leaves out what was written to the prompt cache or read from it; there
    `prompt_tokens` is all of it, and the details say which part came from the cache.
    """
    counts: dict[str, int] = {}
    for one in told:
        if isinstance(one, dict):
            counts |= {key: value for key, value in one.items() if type(value) is int and value}
    if not counts:
        return None
    read = counts.get("cache_read_input_tokens", 0)
    written = counts.get("cache_creation_input_tokens", 0)
    prompt = counts.get("input_tokens", 0) + read + written
    completion = counts.get("output_tokens", 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
    }
