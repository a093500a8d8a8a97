"""Puts the pieces of a streamed reply together into the message that a session keeps."""

from agent_runtime.providers.base import Json


class ReplyBuilder:
    """Joins text, and tool calls by their index."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._tool_calls: dict[int, Json] = {}

    def add(self, delta: Json) -> None:
        """Take in one piece."""
        if isinstance(text := delta.get("content"), str):
            self._text.append(text)
        for piece in delta.get("tool_calls") or ():
            self._add_tool_call(piece)

    def message(self) -> Json:
        """Return the assistant's message so far."""
        text = "".join(self._text)
        if not self._tool_calls:
            return {"role": "assistant", "content": text}
        calls = [call for _, call in sorted(self._tool_calls.items())]
        return {"role": "assistant", "content": text or None, "tool_calls": calls}

    def _add_tool_call(self, piece: Json) -> None:
        index = piece.get("index", 0)
        call = self._tool_calls.setdefault(
            index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        call["id"] = piece.get("id") or call["id"]
        function = piece.get("function") or {}
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""
