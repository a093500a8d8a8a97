"""Writes the answers: from a script, as text, JSON or a tool call. The same request gets the same.

A script calls a tool with an answer of the form `tool_call NAME {"argument": "value"}`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from agent_runtime.providers.base import Json
from agent_runtime.providers.script import Fault as ScriptFault
from agent_runtime.providers.script import Latency, Script
from agent_runtime.providers.scripted import Reader
from agent_runtime.simulator import token_count
from agent_runtime.simulator.exchange import Answer, Asked, Finish, Tool, Usage
from agent_runtime.simulator.faults import Fault
from agent_runtime.simulator.prompt_cache import Use

_CALL = re.compile(r"tool_call\s+(\S+)\s+(\{.*\})\s*", re.DOTALL)
_MAX_DEPTH = 20  # of a schema; deeper is answered with null
_DEFAULT = 'This is simulated answer {turn}. You said: "{message}"'


def default_script() -> Script:
    """Return what is answered when nothing else has been ordered."""
    return Script.model_validate({"default": _DEFAULT})


@dataclass(frozen=True, slots=True)
class Written:
    """An answer, with the delays and the fault that its script wants."""

    answer: Answer
    latency: Latency
    fault: Fault | None


class Author:
    """Answers by one script."""

    def __init__(self, script: Script) -> None:
        self._reader = Reader(script)

    def write(self, asked: Asked, use: Use, answer_id: str) -> Written:
        """Return the answer to a request whose prompt is billed as `use` says."""
        line = self._reader.line(asked.messages, asked.model)
        tool, text = _content(asked, line.text)
        pieces = token_count.split(text)
        finish = Finish.TOOL if tool else Finish.STOP
        if asked.max_tokens is not None and len(pieces) > asked.max_tokens:
            pieces, finish = pieces[: asked.max_tokens], Finish.LENGTH
        usage = Usage(use.plain, len(pieces), use.written, use.read)
        if line.tokens:
            usage = Usage(line.tokens.prompt, line.tokens.completion)
        answer = Answer(answer_id, asked.model, pieces, tool, finish, usage)
        return Written(answer, line.latency, _fault(line.fault))


def _content(asked: Asked, text: str) -> tuple[str | None, str]:
    """Return the tool that is called, if any, and the text or the tool's arguments."""
    call = _CALL.fullmatch(text)
    wanted = _tool(asked.tools, asked.must_call)
    if call and (offered := _tool(asked.tools, call[1])) and wanted in (None, offered):
        return offered.name, call[2]
    if wanted:
        return wanted.name, orjson.dumps(example(wanted.schema)).decode()
    if asked.json_schema is None:
        return None, text
    return None, _as_json(asked.json_schema, text)


def _tool(tools: Sequence[Tool], name: str | None) -> Tool | None:
    return next((tool for tool in tools if tool.name == name), None)


def _as_json(schema: Json, text: str) -> str:
    if schema:
        return orjson.dumps(example(schema)).decode()
    try:
        written = orjson.loads(text)  # the script may have written JSON itself
    except orjson.JSONDecodeError:
        written = None
    return text if isinstance(written, dict) else orjson.dumps({"answer": text}).decode()


def example(schema: Any, depth: int = 0) -> Any:  # a JSON edge
    """Return the simplest value of a JSON schema: all properties, first choices, short lists."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None
    if "const" in schema:
        return schema["const"]
    if choices := _list(schema, "enum"):
        return choices[0]
    if options := _list(schema, "anyOf") or _list(schema, "oneOf"):
        return example(options[0], depth + 1)
    kinds = _list(schema, "type") or [schema.get("type", "object")]
    return _of_kind(str(kinds[0]), schema, depth)


def _of_kind(kind: str, schema: Json, depth: int) -> Any:
    if kind == "object":
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return {}
        return {name: example(part, depth + 1) for name, part in properties.items()}
    if kind == "array":
        return [example(schema.get("items", {"type": "string"}), depth + 1)]
    return {"string": "text", "integer": 1, "number": 1.5, "boolean": True}.get(kind)


def _list(schema: Json, name: str) -> list[Any]:
    value = schema.get(name)
    return value if isinstance(value, list) else []


def _fault(fault: ScriptFault | None) -> Fault | None:
    """Return a script's fault as one of ours."""
    if fault is None:
        return None
    match fault.kind:
        case "status":
            wanted: Json = {"kind": "status", "status": fault.status}
            if fault.retry_after_seconds is not None:
                wanted["retryAfterSeconds"] = fault.retry_after_seconds
        case "connect":
            wanted = {"kind": "reset"}
        case "timeout":
            wanted = {"kind": "hang"}
        case "reset":
            wanted = {"kind": "reset", "afterChunks": fault.after_tokens}
    return Fault.model_validate(wanted)
