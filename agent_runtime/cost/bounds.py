"""What a call can cost at most: so much is reserved before a provider is asked.

A token is at least one byte of text, so a prompt has at most as many tokens as bytes; the JSON
around the text covers what a provider adds for roles. An answer has at most `max_tokens`: a request
that states none gets a bound, else nothing could be promised.
"""

from typing import Any

import orjson

from agent_runtime.cost.prices import Counts
from agent_runtime.providers.base import Json, Prompt, Texts

MAX_TOKENS = 4096
"""Of an answer whose request states no bound; every current model can write so much."""
IMAGE_TOKENS = 8192
"""Of an image, however many bytes it has: more than a large one has at any current provider."""
_IMAGES = frozenset({"image_url", "input_image"})
_LIMITS = ("max_completion_tokens", "max_tokens")
_NEW_LIMIT_ONLY = ("gpt-5", "o1", "o3", "o4")
"""Families that refuse `max_tokens`; other endpoints may not know the newer name."""


def of(prompt: Prompt, model: str) -> tuple[Json, Counts]:
    """Return the options with a bound for the answer, and the most tokens that can be billed.

    All of the prompt is counted as `input`; `Price.most_nano` takes the dearest kind for it.
    """
    options, stated = prompt.options, limit_of(prompt.options)
    if stated is None:
        name = _LIMITS[0] if model.startswith(_NEW_LIMIT_ONLY) else _LIMITS[1]
        options = {**options, name: MAX_TOKENS}
    return options, Counts(_prompt_tokens(prompt), (stated or MAX_TOKENS) * _choices(options))


def of_texts(texts: Texts) -> Counts:
    """Return the most tokens that can be billed for vectors."""
    return Counts(sum(len(t.encode()) if isinstance(t, str) else len(t) for t in texts.inputs))


def _choices(options: Json) -> int:
    """Return how many answers are asked for at once: each may be as long as the bound."""
    wanted = options.get("n")
    return wanted if type(wanted) is int and wanted > 1 else 1


def limit_of(options: Json) -> int | None:
    """Return how many tokens a request allows its answer, if it says so."""
    for name in _LIMITS:
        value = options.get(name)
        if type(value) is int and value > 0:
            return value
    return None


def _prompt_tokens(prompt: Prompt) -> int:
    size = len(orjson.dumps(prompt.options))
    return size + sum(map(_message_tokens, prompt.messages))


def _message_tokens(message: Json) -> int:
    content = message.get("content")
    if isinstance(content, list):
        rest = {key: value for key, value in message.items() if key != "content"}
        return len(orjson.dumps(rest)) + sum(map(_part_tokens, content))
    return len(orjson.dumps(message))


def _part_tokens(part: Any) -> int:  # a JSON edge
    if isinstance(part, dict) and part.get("type") in _IMAGES:
        return IMAGE_TOKENS
    return len(orjson.dumps(part))
