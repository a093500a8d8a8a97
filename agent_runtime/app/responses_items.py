"""The items of a response while they grow, and the events that tell of it. Pure."""

import secrets
from abc import ABC, abstractmethod

from agent_runtime.providers.base import Json

# what a chat calls it: the part's type, the field that holds its text, the prefix of its events
_PARTS = {
    "content": ("output_text", "text", "response.output_text"),
    "refusal": ("refusal", "refusal", "response.refusal"),
}


class Item(ABC):
    """One item of the output; `index` is its place there."""

    def __init__(self, prefix: str) -> None:
        self.id = f"{prefix}_{secrets.token_hex(12)}"
        self.index = 0
        self.status = "in_progress"

    @abstractmethod
    def as_json(self) -> Json:
        """Return the item as far as it has come."""

    @abstractmethod
    def _last_words(self) -> list[Json]:
        """Return the events that end what is inside."""

    def open(self) -> list[Json]:
        """Return the event that announces it."""
        return [self._whole("response.output_item.added")]

    def close(self, status: str = "completed") -> list[Json]:
        """Return the events that end it; none if it has ended."""
        if self.status != "in_progress":
            return []
        last = self._last_words()
        self.status = status
        return [*last, self._whole("response.output_item.done")]

    def _whole(self, kind: str) -> Json:
        return {"type": kind, "output_index": self.index, "item": self.as_json()}

    def _at(self, kind: str, **fields: object) -> Json:
        return {"type": kind, "item_id": self.id, "output_index": self.index, **fields}


class MessageItem(Item):
    """What the assistant says: a text, a refusal, or one after the other."""

    def __init__(self) -> None:
        super().__init__("msg")
        self._parts: list[tuple[str, list[str]]] = []

    def add(self, name: str, text: str) -> list[Json]:
        """Return the events of a piece of text; `name` is what a chat calls it."""
        events: list[Json] = []
        if not self._parts or self._parts[-1][0] != name:
            events += self._end_of_part()
            self._parts.append((name, []))
            events.append(self._of_part("response.content_part.added", part=self._part(-1)))
        self._parts[-1][1].append(text)
        delta = self._of_part(f"{_PARTS[name][2]}.delta", delta=text)
        return [*events, delta | ({"logprobs": []} if name == "content" else {})]

    def as_json(self) -> Json:
        """Return the item as far as it has come."""
        return {
            "id": self.id,
            "type": "message",
            "status": self.status,
            "role": "assistant",
            "content": [self._part(number) for number in range(len(self._parts))],
        }

    def _last_words(self) -> list[Json]:
        return self._end_of_part()

    def _end_of_part(self) -> list[Json]:
        if not self._parts:
            return []
        name = self._parts[-1][0]
        _, field, prefix = _PARTS[name]
        part = self._part(-1)
        done = self._of_part(f"{prefix}.done", **{field: part[field]})
        if name == "content":
            done["logprobs"] = []
        return [done, self._of_part("response.content_part.done", part=part)]

    def _part(self, number: int) -> Json:
        name, texts = self._parts[number]
        kind, field, _ = _PARTS[name]
        part: Json = {"type": kind, field: "".join(texts)}
        return part | ({"annotations": [], "logprobs": []} if name == "content" else {})

    def _of_part(self, kind: str, **fields: object) -> Json:
        return self._at(kind, content_index=len(self._parts) - 1, **fields)


class CallItem(Item):
    """A call of a function that the client offered."""

    def __init__(self, call_id: str | None, name: str | None) -> None:
        super().__init__("fc")
        self._call_id = call_id or f"call_{secrets.token_hex(12)}"  # the result has to name one
        self._name = name or ""
        self._arguments: list[str] = []

    def add(self, piece: Json) -> list[Json]:
        """Return the event of a piece of the arguments; none if it brings nothing."""
        arguments = (piece.get("function") or {}).get("arguments")
        if not arguments:
            return []
        self._arguments.append(arguments)
        return [self._at("response.function_call_arguments.delta", delta=arguments)]

    def as_json(self) -> Json:
        """Return the item as far as it has come."""
        return {
            "id": self.id,
            "type": "function_call",
            "status": self.status,
            "call_id": self._call_id,
            "name": self._name,
            "arguments": "".join(self._arguments),
        }

    def _last_words(self) -> list[Json]:
        arguments = "".join(self._arguments)
        kind = "response.function_call_arguments.done"
        return [self._at(kind, arguments=arguments, name=self._name)]
