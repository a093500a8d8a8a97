"""Answers of the responses API: whole, or as a stream of its typed events.

The answer is a chat's; what differs is how it is told. Nothing is stored, and the object says so.
"""

import secrets
import time
from collections.abc import Iterator
from typing import Any

import orjson

from agent_runtime.app import responses_request
from agent_runtime.app.chat_request import ChatRequest
from agent_runtime.app.errors import ApiError
from agent_runtime.app.responses_items import CallItem, Item, MessageItem
from agent_runtime.providers import tokens
from agent_runtime.providers.base import Answer, Chunk, Json

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_RATE_LIMITED = "rate_limit_exceeded"  # the one code of ours that the API knows
# what the API says of a request that did not state it
_DEFAULTS: Json = {
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": "auto",
    "store": False,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "usage": None,
    "user": None,
    "background": False,
}


class Responses:
    """The dialect of `/v1/responses`."""

    parse = staticmethod(responses_request.parse)

    def new_id(self) -> str:
        """Return an id for a response."""
        return f"resp_{secrets.token_hex(12)}"

    def whole(self, call_id: str, model: str, asked: ChatRequest, answer: Answer) -> bytes:
        """Return a whole response."""
        ended = _ended(answer.finish_reason, answer.usage)
        items = list(_items_of(answer.message))
        for item in items:
            item.close(ended["status"] if item is items[-1] else "completed")
        output = [item.as_json() for item in items]
        return orjson.dumps({**_common(call_id, model, asked), **ended, "output": output})

    def writer(self, call_id: str, model: str, asked: ChatRequest) -> "EventWriter":
        """Return what writes a stream."""
        return EventWriter(_common(call_id, model, asked))

    def frame(self, error: ApiError, sent: int) -> bytes:
        """Return the event that tells an error."""
        return _event({"type": "error", **_told(error), "sequence_number": sent})


class EventWriter:
    """Writes one stream's events, numbered from 0."""

    def __init__(self, common: Json) -> None:
        self._common = common
        self._number = 0
        self._items: list[Item] = []
        self._message: MessageItem | None = None
        self._calls: dict[int, CallItem] = {}

    def event(self, chunk: Chunk) -> bytes:
        """Return the events of one piece of the answer."""
        delta = chunk.delta
        events = b"" if self._number else self._begin()
        for name in ("content", "refusal"):
            if isinstance(text := delta.get(name), str) and text:
                events += self._said(name, text)
        for piece in delta.get("tool_calls") or ():
            events += self._called(piece)
        return events

    def ending(self, last: Chunk) -> bytes:
        """Return the events of the last piece, of every item's end, and of the response's."""
        events = self.event(last)
        if not self._items:
            events += self._said("content", "")
        ended = _ended(last.finish_reason, last.usage or {})
        for item in self._items:
            status = ended["status"] if item is self._items[-1] else "completed"
            events += self._write(item.close(status))
        return events + self._response(f"response.{ended['status']}", ended)

    def failed(self, error: ApiError, _sent: int) -> bytes:
        """Return the events that end a response that failed.

        The second one makes clients raise that would take a stream's end for the answer's.
        """
        code = _RATE_LIMITED if error.code == _RATE_LIMITED else "server_error"
        status = {"status": "failed", "error": {"code": code, "message": error.message}}
        failed = self._response("response.failed", status)
        return failed + self._write([{"type": "error", **_told(error)}])

    def _begin(self) -> bytes:
        return self._response("response.created", {}) + self._response("response.in_progress", {})

    def _said(self, name: str, text: str) -> bytes:
        events = b""
        if self._message is None:
            self._message = MessageItem()
            events = self._open(self._message)
        return events + self._write(self._message.add(name, text))

    def _called(self, piece: Json) -> bytes:
        events, index = b"", piece.get("index", 0)
        if self._message is not None:  # what is said after a call is another item
            events = self._write(self._message.close())
            self._message = None
        if index not in self._calls:
            function = piece.get("function") or {}
            self._calls[index] = CallItem(piece.get("id"), function.get("name"))
            events += self._open(self._calls[index])
        return events + self._write(self._calls[index].add(piece))

    def _open(self, item: Item) -> bytes:
        item.index = len(self._items)
        self._items.append(item)
        return self._write(item.open())

    def _response(self, kind: str, changes: Json) -> bytes:
        output = [item.as_json() for item in self._items]
        response = {**self._common, **changes, "output": output}
        return self._write([{"type": kind, "response": response}])

    def _write(self, events: list[Json]) -> bytes:
        written = b""
        for event in events:
            event["sequence_number"] = self._number
            self._number += 1
            written += _event(event)
        return written


def _common(call_id: str, model: str, asked: ChatRequest) -> Json:
    return {
        "id": call_id,
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "model": model,
        **_DEFAULTS,
        **asked.repeated,
    }


def _items_of(message: Json) -> Iterator[Item]:
    """Yield what a message says and calls: at least one item, as the API always has one."""
    calls = message.get("tool_calls") or ()
    texts = {"content": tokens.text_of(message), "refusal": message.get("refusal")}
    said = [(name, text) for name, text in texts.items() if isinstance(text, str) and text]
    if said or not calls:
        item = MessageItem()
        for name, text in said or [("content", "")]:
            item.add(name, text)
        yield item
    for call in calls:
        function = call.get("function") or {}
        made = CallItem(call.get("id"), function.get("name"))
        made.add({"function": {"arguments": function.get("arguments")}})
        yield made


def _ended(finish_reason: str | None, usage: Json) -> Json:
    found: Json = {"status": "completed", "usage": _usage(usage)}
    if reason := _INCOMPLETE.get(finish_reason or ""):
        found |= {"status": "incomplete", "incomplete_details": {"reason": reason}}
    return found


def _usage(usage: Json) -> Json:
    prompt, completion = _number(usage, "prompt_tokens"), _number(usage, "completion_tokens")
    read, written = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return {
        "input_tokens": prompt,
        "input_tokens_details": {
            "cached_tokens": _number(read, "cached_tokens"),
            "cache_write_tokens": _number(read, "cache_write_tokens"),
        },
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": _number(written, "reasoning_tokens")},
        "total_tokens": prompt + completion,
        # ours, in streams: their headers have left before it is known
        **({"cost_usd": usage["cost_usd"]} if "cost_usd" in usage else {}),
    }


def _number(counts: Any, name: str) -> int:  # a JSON edge
    found = counts.get(name) if isinstance(counts, dict) else None
    return found if type(found) is int else 0


def _told(error: ApiError) -> Json:
    """Return the fields of the API's error event, and the object that its client looks for."""
    fields = error.fields()
    flat = {name: fields[name] for name in ("code", "message", "param")}
    return {**flat, "error": fields}


def _event(event: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))
