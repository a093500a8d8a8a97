"""Streamed answers: every text in the deltas is redacted, or restored, by itself.

The arguments of a tool are held back until they are complete: they are of no use before, and only
as a whole are they JSON that stays JSON. Their bound is that of an answer.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from agent_runtime.guard.pii.conversation import Conversation, Side
from agent_runtime.providers.base import Chunk, Json


class Passage(Protocol):
    """A text that goes through in pieces."""

    def feed(self, piece: str) -> str:
        """Return what can be handed out now."""
        ...

    def end(self) -> str:
        """Return the rest."""
        ...


class _Pieces:
    """Takes chunks in and gives chunks out; the last one goes out when all texts have ended."""

    def __init__(self, passage: Callable[[], Passage], whole: Callable[[Any], Any]) -> None:
        self._passage = passage
        self._whole = whole
        self._texts: dict[str, Passage] = {}
        self._arguments: dict[int, list[str]] = {}

    def pieces(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yield what can go out now; none for a piece that is held back."""
        if delta := self._delta(chunk.delta):
            yield Chunk(delta)
        if chunk.finish_reason is None:
            return
        if rest := {key: text for key, t in self._texts.items() if (text := t.end())}:
            yield Chunk(rest)
        if calls := [self._call(index) for index in sorted(self._arguments)]:
            yield Chunk({"tool_calls": calls})
        yield Chunk({}, chunk.finish_reason, chunk.usage)

    def _delta(self, delta: Json) -> Json:
        found: Json = {}
        for key, value in delta.items():
            if key == "role":
                found[key] = value
            elif key == "tool_calls" and value:
                begun = [call for piece in value if (call := self._begun(piece))]
                found |= {key: begun} if begun else {}
            elif isinstance(value, str):
                passage = self._texts.get(key) or self._texts.setdefault(key, self._passage())
                found |= {key: text} if (text := passage.feed(value)) else {}
            else:
                found[key] = self._whole(value)
        return found

    def _begun(self, piece: Json) -> Json | None:
        """Return a piece of a call without its arguments, which are collected; None if empty."""
        function: Json = dict(piece.get("function") or {})
        index = piece.get("index", 0)
        arguments = function.pop("arguments", None) or ""
        self._arguments.setdefault(index, []).append(arguments)
        said = {key: value for key, value in piece.items() if key not in ("index", "function")}
        if not (function or said):
            return None
        return {"index": index, **said, "function": {**function, "arguments": ""}}

    def _call(self, index: int) -> Json:
        whole: Json = self._whole({"arguments": "".join(self._arguments[index])})
        return {"index": index, "function": whole}


class Redacted(_Pieces):
    """What a model streams, without what the rules are about."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(
            conversation.redaction, lambda value: conversation.redacted(value, Side.ANSWER)
        )


class Restored(_Pieces):
    """What an agent streams, with the originals of its caller."""

    def __init__(self, conversation: Conversation) -> None:
        super().__init__(conversation.restoration, conversation.restored)
