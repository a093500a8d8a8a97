"""OpenAI's protocol, the provider's side: chat completions, embeddings, models, errors."""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from agent_runtime.providers import embedding
from agent_runtime.providers.base import Json
from agent_runtime.simulator import exchange, token_count
from agent_runtime.simulator.exchange import Answer, Asked, Finish, Headers, Refused, Stream, Tool
from agent_runtime.simulator.limiter import Level
from agent_runtime.simulator.prompt_cache import Block

MODELS = ("sim-small", "sim-large", "sim-embedding")
MAX_INPUTS = 2048

_DONE = b"data: [DONE]\n\n"
_FINISH = {Finish.STOP: "stop", Finish.LENGTH: "length", Finish.TOOL: "tool_calls"}
_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details. "
    "For more information on this error, read the docs: "
    "https://platform.openai.com/docs/guides/error-codes/api-errors."
)
# status: type, code, message
_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request is not valid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    402: ("insufficient_quota", "insufficient_quota", "Payment required: no credit is left."),
    403: ("invalid_request_error", "forbidden", "You may not use this model."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}


class OpenAIWire:
    """Chat completions."""

    def asked(self, body: Json) -> Asked:
        """Return what is asked, or raise `Refused`."""
        messages = exchange.conversation(body)
        tools = _tools(body)
        options = exchange.checked(body, "stream_options", dict) or {}
        counted = token_count.of_messages(messages)
        if tools:
            counted += token_count.of_json(body["tools"])
        limit = exchange.checked(body, "max_completion_tokens", int)
        return Asked(
            model=exchange.checked(body, "model", str, required=True),
            messages=messages,
            blocks=(Block(b"", counted, marked=False),),
            stream=bool(exchange.checked(body, "stream", bool)),
            include_usage=options.get("include_usage") is True,
            max_tokens=limit if limit is not None else exchange.checked(body, "max_tokens", int),
            tools=() if body.get("tool_choice") == "none" else tools,
            must_call=_must_call(body.get("tool_choice"), tools),
            json_schema=_json_schema(exchange.checked(body, "response_format", dict)),
        )

    def whole(self, answer: Answer) -> bytes:
        """Return a chat completion."""
        text = "".join(answer.pieces)
        message: Json = {"role": "assistant", "content": text, "refusal": None}
        if answer.tool:
            message["content"] = None
            message["tool_calls"] = [_call(answer, text)]
        choice = {"index": 0, "message": message, "logprobs": None}
        choice["finish_reason"] = _FINISH[answer.finish]
        common = _common(answer, "chat.completion")
        return orjson.dumps({**common, "choices": [choice], "usage": _usage(answer)})

    def stream(self, answer: Answer, *, include_usage: bool) -> Stream:
        """Return the chunks: the role, one for each piece, the end, perhaps the usage, `[DONE]`."""
        common = _common(answer, "chat.completion.chunk")
        if include_usage:
            common["usage"] = None
        first: Json = {"role": "assistant", "content": "", "refusal": None}
        if answer.tool:
            call = {"index": 0, **_call(answer, "")}
            first = {"role": "assistant", "content": None, "tool_calls": [call]}
        closing = _chunk(common, {}, _FINISH[answer.finish])
        if include_usage:
            closing += _event({**common, "choices": [], "usage": _usage(answer)})
        return Stream(_chunk(common, first), _deltas(common, answer), closing + _DONE)

    def error(self, status: int, message: str | None = None, code: str | None = None) -> bytes:
        """Return an error body."""
        kind, usual_code, text = _ERRORS.get(status) or _ERRORS[500 if status >= 500 else 400]
        error = {"message": message or text, "type": kind, "param": None}
        return orjson.dumps({"error": error | {"code": code or usual_code}})

    def error_event(self, error: bytes) -> bytes:
        """Return the event that tells an error inside a stream."""
        return b"data: " + error + b"\n\n"

    def half_event(self) -> bytes:
        """Return an event that breaks off in the middle of its JSON."""
        return b'data: {"id":"chatcmpl-half","object":"chat.completion.chunk","choices":[{"ind\n\n'

    def quota(self, status: int | None) -> tuple[int, bytes]:
        """Return 429 `insufficient_quota`, or the status that was asked for with its words."""
        if status not in (None, 429):
            return status, self.error(status)
        error = {"message": _QUOTA, "type": "insufficient_quota", "param": None}
        return 429, orjson.dumps({"error": error | {"code": "insufficient_quota"}})

    def limit_headers(self, levels: Sequence[Level], now: float) -> Headers:
        """Return `x-ratelimit-*`."""
        headers = []
        for level in levels:
            unit = level.unit.encode()
            headers += [
                (b"x-ratelimit-limit-" + unit, b"%d" % level.limit),
                (b"x-ratelimit-remaining-" + unit, b"%d" % level.remaining),
                (b"x-ratelimit-reset-" + unit, duration(level.full_in_s).encode()),
            ]
        return headers


def embeddings(body: Json) -> tuple[str, int, bytes]:
    """Return model, tokens and body of an answer to `POST /v1/embeddings`, or raise `Refused`."""
    model = exchange.checked(body, "model", str, required=True)
    dimensions = exchange.checked(body, "dimensions", int)
    size = embedding.DIMENSIONS if dimensions is None else dimensions
    if not 1 <= size <= embedding.MAX_DIMENSIONS:
        text = f"dimensions: must be 1 to {embedding.MAX_DIMENSIONS}"
        raise Refused(400, text, code="invalid_value")
    inputs = _inputs(body.get("input"))
    data = []
    for index, (content, _) in enumerate(inputs):
        written = embedding.written(embedding.vector(content, size), body)
        data.append({"object": "embedding", "index": index, "embedding": written})
    tokens = sum(count for _, count in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    answer = {"object": "list", "data": data, "model": model, "usage": usage}
    return model, tokens, orjson.dumps(answer)


def models() -> bytes:
    """Return the answer to `GET /v1/models`; other names are answered as well."""
    return orjson.dumps({"object": "list", "data": [_model(name) for name in MODELS]})


def model(name: str) -> bytes:
    """Return the answer to `GET /v1/models/{name}`."""
    return orjson.dumps(_model(name))


def duration(seconds: float) -> str:
    """Return a duration as OpenAI's headers write it: 120ms, 1s, 6m0s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _model(name: str) -> Json:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "simulator"}


def _common(answer: Answer, kind: str) -> Json:
    return {
        "id": "chatcmpl-" + answer.id,
        "object": kind,
        "created": int(time.time()),
        "model": answer.model,
        "system_fingerprint": "fp_simulator",
    }


def _event(document: Json) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


def _chunk(common: Json, delta: Json, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _event({**common, "choices": [choice]})


def _deltas(common: Json, answer: Answer) -> Iterator[bytes]:
    for piece in answer.pieces:
        if answer.tool:
            call = {"index": 0, "function": {"arguments": piece}}
            yield _chunk(common, {"tool_calls": [call]})
        else:
            yield _chunk(common, {"content": piece})


def _call(answer: Answer, arguments: str) -> Json:
    function = {"name": answer.tool, "arguments": arguments}
    return {"id": "call_" + answer.id, "type": "function", "function": function}


def _usage(answer: Answer) -> Json:
    usage = answer.usage
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _tools(body: Json) -> list[Tool]:
    tools = []
    for index, tool in enumerate(exchange.checked(body, "tools", list) or ()):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise Refused(400, f"tools[{index}].function.name: Field required")
        tools.append(Tool(function["name"], exchange.checked(function, "parameters", dict) or {}))
    return tools


def _must_call(choice: Any, tools: Sequence[Tool]) -> str | None:  # a JSON edge
    if choice == "required":
        return tools[0].name if tools else None
    if not isinstance(choice, dict):
        return None
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if not any(tool.name == name for tool in tools):
        raise Refused(400, "tool_choice: names a tool that is not offered", code="invalid_value")
    return str(name)


def _json_schema(wanted: Json | None) -> Json | None:
    kind = wanted.get("type") if wanted else None
    if wanted and kind == "json_schema":
        named = exchange.checked(wanted, "json_schema", dict) or {}
        return exchange.checked(named, "schema", dict) or {}
    return {} if kind == "json_object" else None


def _inputs(given: Any) -> list[tuple[bytes, int]]:  # a JSON edge
    """Return each input as bytes, with its tokens; ready-made tokens are lists of numbers."""
    many = given if isinstance(given, list) and not _is_tokens(given) else [given]
    if not 1 <= len(many) <= MAX_INPUTS:
        raise Refused(400, f"input: must hold 1 to {MAX_INPUTS} texts", code="invalid_value")
    inputs = []
    for one in many:
        if isinstance(one, str) and one:
            inputs.append((one.encode(), token_count.of_text(one)))
        elif isinstance(one, list) and _is_tokens(one):
            inputs.append((orjson.dumps(one), len(one)))
        else:
            raise Refused(400, "input: must be text, or a list of texts", code="invalid_type")
    return inputs


def _is_tokens(given: list[Any]) -> bool:
    return bool(given) and all(isinstance(number, int) for number in given)
