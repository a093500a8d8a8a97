"""How many tokens a text has when its provider does not say: for answers that broke off.

Two steps. A raw count by characters: an East Asian one is a token, and 4.5 others are (the rule
of thumb for English is 4). Then a factor per model, learned from the answers that the provider did
count, so that the estimate follows that model's own tokenizer.
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from agent_runtime.providers.base import Json

_EAST_ASIAN = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]")
_CHARACTERS_PER_TOKEN = 4.5
_MESSAGE_TOKENS = 3  # around each message, for its role: OpenAI's published figure
_IMAGE_TOKENS = 300  # between a small image (85) and a large one (1,100 and more)

_FORGET = 0.9  # weight of all earlier answers against the newest
_FACTOR_MIN, _FACTOR_MAX = 0.25, 4.0  # one odd answer must not spoil the next estimates
_ALWAYS, _SOMETIMES = 20, 16  # the first answers are all compared, later every 16th


def of_text(text: str) -> float:
    """Return the raw count of a text."""
    wide = 0 if text.isascii() else len(_EAST_ASIAN.findall(text))
    return wide + (len(text) - wide) / _CHARACTERS_PER_TOKEN


def of_message(message: Json) -> float:
    """Return the raw count of what a message says and calls."""
    calls = message.get("tool_calls")
    return _of_content(message.get("content")) + (_of_json(calls) if calls else 0.0)


def of_prompt(messages: Sequence[Json], options: Json) -> float:
    """Return the raw count of a conversation and the tools that are offered with it."""
    said = sum(_MESSAGE_TOKENS + of_message(message) for message in messages)
    tools = options.get("tools")
    return said + (_of_json(tools) if tools else 0.0)


def _of_content(content: Any) -> float:  # a JSON edge
    if isinstance(content, str):
        return of_text(content)
    if not isinstance(content, list):
        return 0.0
    return sum(map(_of_part, content))


def _of_part(part: Any) -> float:  # a JSON edge
    text = part.get("text") if isinstance(part, dict) else None
    return of_text(text) if isinstance(text, str) else _IMAGE_TOKENS


def _of_json(value: Any) -> float:  # a JSON edge
    return of_text(orjson.dumps(value).decode())


class Factor:
    """How many tokens of a model make one of our raw count; 1 until an answer was compared."""

    __slots__ = ("_raw", "_told")

    def __init__(self) -> None:
        self._raw = self._told = 0.0

    def learn(self, raw: float, told: int) -> None:
        """Take in one comparison; long texts weigh more than short ones."""
        if raw > 0 and told > 0:
            self._raw = _FORGET * self._raw + raw
            self._told = _FORGET * self._told + told

    def apply(self, raw: float) -> int:
        """Return the estimate for a raw count."""
        if not self._raw:
            return round(raw)
        return round(raw * min(max(self._told / self._raw, _FACTOR_MIN), _FACTOR_MAX))


class Estimator:
    """The two factors of one model, of prompts and of answers."""

    def __init__(self) -> None:
        self._prompt, self._answer = Factor(), Factor()
        self._seen = 0

    @property
    def wants_comparison(self) -> bool:
        """Whether the answer at hand is one of those worth the time; each call is one answer."""
        self._seen += 1
        return self._seen <= _ALWAYS or self._seen % _SOMETIMES == 0

    def learn(
        self, messages: Sequence[Json], options: Json, answer: Json, *, prompt: int, output: int
    ) -> None:
        """Compare with what a provider counted; `output` without what the model only thought."""
        self._prompt.learn(of_prompt(messages, options), prompt)
        self._answer.learn(of_message(answer), output)

    def prompt(self, messages: Sequence[Json], options: Json) -> int:
        """Return the estimated tokens of a conversation."""
        return self._prompt.apply(of_prompt(messages, options))

    def answer(self, message: Json) -> int:
        """Return the estimated tokens of as much of an answer as there is."""
        return self._answer.apply(of_message(message))
