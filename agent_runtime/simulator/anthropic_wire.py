"""Anthropic's protocol, the provider's side: messages, their stream events, errors."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from agent_runtime.providers.base import Json
from agent_runtime.simulator import exchange, token_count
from agent_runtime.simulator.exchange import Answer, Asked, Finish, Headers, Refused, Stream, Tool
from agent_runtime.simulator.limiter import Level
from agent_runtime.simulator.openai_wire import MODELS
from agent_runtime.simulator.prompt_cache import Block

_FINISH = {Finish.STOP: "end_turn", Finish.LENGTH: "max_tokens", Finish.TOOL: "tool_use"}
_CREDIT = (
    "Your credit balance is too low to access the Anthropic API. "
    "Please go to Plans & Billing to upgrade or purchase credits."
)
_ERRORS = {
    400: ("invalid_request_error", "The request is not valid."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is a problem with your billing or payment."),
    403: ("permission_error", "Your API key may not use this resource."),
    404: ("not_found_error", "The requested resource was not found."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your account's rate limit."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "The request timed out"),
    529: ("overloaded_error", "Overloaded"),
}


class AnthropicWire:
    """Messages."""

    def asked(self, body: Json) -> Asked:
        """Return what is asked, or raise `Refused`."""
        messages = exchange.conversation(body)
        limit = exchange.checked(body, "max_tokens", int, required=True)
        if limit < 1:
            raise Refused(400, "max_tokens: must be 1 or more")
        tools = _tools(body)
        choice = exchange.checked(body, "tool_choice", dict) or {}
        return Asked(
            model=exchange.checked(body, "model", str, required=True),
            messages=messages,
            blocks=_blocks(body, messages),
            stream=bool(exchange.checked(body, "stream", bool)),
            include_usage=True,
            max_tokens=limit,
            tools=() if choice.get("type") == "none" else tools,
            must_call=_must_call(choice, tools),
        )

    def whole(self, answer: Answer) -> bytes:
        """Return a message."""
        text = "".join(answer.pieces)
        block: Json = {"type": "text", "text": text}
        if answer.tool:
            block = _tool_block(answer, _arguments(text))
        ended = {"stop_reason": _FINISH[answer.finish], "stop_sequence": None}
        return orjson.dumps(_message(answer, [block], answer.usage.output) | ended)

    def stream(self, answer: Answer, *, include_usage: bool) -> Stream:
        """Return the events; the usage is always told: of the input first, of the output last."""
        block: Json = {"type": "text", "text": ""}
        if answer.tool:
            block = _tool_block(answer, {})
        opening = (
            _event("message_start", message=_message(answer, [], 1))
            + _event("content_block_start", index=0, content_block=block)
            + _event("ping")
        )
        ended = {"stop_reason": _FINISH[answer.finish], "stop_sequence": None}
        closing = (
            _event("content_block_stop", index=0)
            + _event("message_delta", delta=ended, usage=_usage(answer, answer.usage.output))
            + _event("message_stop")
        )
        return Stream(opening, _deltas(answer), closing)

    def error(self, status: int, message: str | None = None, code: str | None = None) -> bytes:
        """Return an error body; this protocol has no codes."""
        kind, text = _ERRORS.get(status) or _ERRORS[500 if status >= 500 else 400]
        return orjson.dumps({"type": "error", "error": {"type": kind, "message": message or text}})

    def error_event(self, error: bytes) -> bytes:
        """Return the event that tells an error inside a stream."""
        return b"event: error\ndata: " + error + b"\n\n"

    def half_event(self) -> bytes:
        """Return an event that breaks off in the middle of its JSON."""
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","ind\n\n'

    def quota(self, status: int | None) -> tuple[int, bytes]:
        """Return 400 with the words about credit, or the status that was asked for."""
        if status in (None, 400):
            return 400, self.error(400, _CREDIT)
        return status, self.error(status)

    def limit_headers(self, levels: Sequence[Level], now: float) -> Headers:
        """Return `anthropic-ratelimit-*`."""
        headers = []
        for level in levels:
            name = b"anthropic-ratelimit-" + level.unit.encode()
            full_at = datetime.fromtimestamp(now, UTC) + timedelta(seconds=level.full_in_s)
            headers += [
                (name + b"-limit", b"%d" % level.limit),
                (name + b"-remaining", b"%d" % level.remaining),
                (name + b"-reset", full_at.strftime("%Y-%m-%dT%H:%M:%SZ").encode()),
            ]
        return headers


def models() -> bytes:
    """Return the answer to `GET /v1/models`; other names are answered as well."""
    data = [_model(name) for name in MODELS]
    ends = {"first_id": MODELS[0], "last_id": MODELS[-1]}
    return orjson.dumps({"data": data, "has_more": False, **ends})


def model(name: str) -> bytes:
    """Return the answer to `GET /v1/models/{name}`."""
    return orjson.dumps(_model(name))


def _model(name: str) -> Json:
    created = "2025-01-01T00:00:00Z"
    return {"type": "model", "id": name, "display_name": name, "created_at": created}


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


def _deltas(answer: Answer) -> Iterator[bytes]:
    for piece in answer.pieces:
        delta = {"type": "text_delta", "text": piece}
        if answer.tool:
            delta = {"type": "input_json_delta", "partial_json": piece}
        yield _event("content_block_delta", index=0, delta=delta)


def _message(answer: Answer, content: list[Json], output: int) -> Json:
    return {
        "id": "msg_" + answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(answer, output),
    }


def _usage(answer: Answer, output: int) -> Json:
    return {
        "input_tokens": answer.usage.input,
        "cache_creation_input_tokens": answer.usage.cache_write,
        "cache_read_input_tokens": answer.usage.cache_read,
        "output_tokens": output,
    }


def _tool_block(answer: Answer, arguments: Json) -> Json:
    return {
        "type": "tool_use", "id": "toolu_" + answer.id, "name": answer.tool, "input": arguments,
    }  # fmt: skip


def _arguments(text: str) -> Json:
    try:
        arguments = orjson.loads(text)
    except orjson.JSONDecodeError:  # max_tokens cut it
        return {}
    return arguments if isinstance(arguments, dict) else {}


def _tools(body: Json) -> list[Tool]:
    tools = []
    for index, tool in enumerate(exchange.checked(body, "tools", list) or ()):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            raise Refused(400, f"tools.{index}.name: Field required")
        tools.append(Tool(tool["name"], exchange.checked(tool, "input_schema", dict) or {}))
    return tools


def _must_call(choice: Json, tools: Sequence[Tool]) -> str | None:
    match choice.get("type"):
        case "any":
            return tools[0].name if tools else None
        case "tool":
            name = choice.get("name")
            if any(tool.name == name for tool in tools):
                return str(name)
            raise Refused(400, "tool_choice.name: names a tool that is not offered")
    return None


def _blocks(body: Json, messages: Sequence[Json]) -> list[Block]:
    """Return the prompt in the order in which it is cached: tools, system, messages."""
    blocks = [_block(b"tool", tool, token_count.of_json) for tool in body.get("tools") or ()]
    blocks += [_block(b"system", part, token_count.of_part) for part in _parts(body, "system")]
    for message in messages:
        role = str(message.get("role")).encode()
        blocks.append(Block(role, token_count.MESSAGE_TOKENS, marked=False))
        parts = _parts(message, "content")
        blocks += [_block(role, part, token_count.of_part) for part in parts]
    if body.get("cache_control"):  # of the whole request: up to its last block
        blocks[-1] = replace(blocks[-1], marked=True)
    return blocks


def _parts(holder: Json, name: str) -> list[Any]:
    content = holder.get(name)
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else []


def _block(place: bytes, part: Any, count: Any) -> Block:  # a JSON edge
    if not isinstance(part, dict):
        return Block(place, 0, marked=False)
    kept = {name: value for name, value in part.items() if name != "cache_control"}
    # a hint how to cache is no part of what is cached
    content = place + orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
    return Block(content, count(kept), marked=bool(part.get("cache_control")))
