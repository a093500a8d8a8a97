"""Token counts for answers whose model reports none: words, and single East Asian characters.

An estimate, the same for the same text; a provider's own figures always win.
"""

import re
from collections.abc import Iterable, Sequence

from agent_runtime.providers.base import Json

# leading space belongs to the token, so that joining the tokens gives the text back
_EAST_ASIAN = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"\s*(?:[{_EAST_ASIAN}]|[^\s{_EAST_ASIAN}]+)|\s+")


def split_tokens(text: str) -> list[str]:
    """Return the tokens of a text; joined they are the text."""
    return _TOKEN.findall(text)


def text_of(message: Json) -> str:
    """Return a message's text: its content, or the text parts of it joined by spaces."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict))
    return " ".join(part for part in parts if isinstance(part, str))


def prompt_tokens(messages: Iterable[Json]) -> int:
    """Return the estimated tokens of a conversation."""
    return sum(map(len, map(split_tokens, map(text_of, messages))))


def usage(prompt: int, completion: int) -> Json:
    """Return OpenAI's usage object for these two counts."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def rough(text: str | Sequence[int]) -> int:
    """Return a text's tokens, roughly and quickly: four letters or one East Asian character each.

    Good enough to see a limit coming; ready-made tokens count as they are.
    """
    return len(text.encode()) // 4 + 1 if isinstance(text, str) else len(text)


def of_inputs(inputs: Iterable[str | Sequence[int]]) -> Json:
    """Return the estimated usage of embedding these texts, or lists of tokens."""
    count = sum(len(split_tokens(i) if isinstance(i, str) else i) for i in inputs)
    return {"prompt_tokens": count, "total_tokens": count}


def estimate(messages: Iterable[Json], answer: str) -> Json:
    """Return the estimated usage of an answered conversation."""
    return usage(prompt_tokens(messages), len(split_tokens(answer)))
