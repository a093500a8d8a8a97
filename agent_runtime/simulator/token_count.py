"""How words become tokens here: deterministic, and the same for streams and whole answers.

A token is one East Asian character, or up to six other characters of a word, either with the
blanks before it. "Hello wonderful world" is Hello, " wonder", "ful", " world": 4. It is not the
runtime's own estimate, which must not be tested against itself.
"""

import re
from collections.abc import Iterable
from typing import Any

import orjson

from agent_runtime.providers.base import Json

IMAGE_TOKENS = 85  # of any part that is no text: OpenAI's figure for a small image
MESSAGE_TOKENS = 3  # around each message, for its role

_EAST_ASIAN = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"\s*(?:[{_EAST_ASIAN}]|[^\s{_EAST_ASIAN}]{{1,6}})|\s+")


def split(text: str) -> list[str]:
    """Return the tokens of a text; joined they are the text."""
    return _TOKEN.findall(text)


def of_text(text: str) -> int:
    """Return how many tokens a text has."""
    return len(_TOKEN.findall(text))


def of_content(content: Any) -> int:  # a JSON edge
    """Return the tokens of a message's content: text, a list of parts, or nothing."""
    if isinstance(content, str):
        return of_text(content)
    if not isinstance(content, list):
        return 0
    return sum(map(of_part, content))


def of_part(part: Any) -> int:  # a JSON edge
    """Return the tokens of one part of a content."""
    if not isinstance(part, dict):
        return 0
    if isinstance(text := part.get("text"), str):
        return of_text(text)
    if "content" in part:  # the result of a tool
        return of_content(part["content"])
    if "input" in part:  # a call of a tool
        return of_json([part.get("name"), part["input"]])
    return IMAGE_TOKENS


def of_messages(messages: Iterable[Json]) -> int:
    """Return the tokens of a conversation."""
    total = 0
    for message in messages:
        total += MESSAGE_TOKENS + of_content(message.get("content"))
        if calls := message.get("tool_calls"):
            total += of_json(calls)
    return total


def of_json(value: Any) -> int:  # a JSON edge
    """Return the tokens of a JSON value, written without blanks."""
    return of_text(orjson.dumps(value).decode())
