"""The format of scripted answers: rules, a default, latency and faults, read from YAML.

docs/runtime.md describes it for users. Everything is checked when it is loaded, so that a request
can never meet a broken rule.
"""

import re
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from agent_runtime import documents
from agent_runtime.problems import Invalid, Strict, problems_of
from agent_runtime.providers import pattern_cost

MAX_RULES = 500
PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
BUILT_IN_NAMES = frozenset({"agent", "message", "turn"})

Text = Annotated[str, Field(max_length=32_768)]
Seconds = Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)]
Every = Annotated[int, Field(ge=1, le=1_000_000)]

DEFAULT_SCRIPT = r"""
default: "I am {agent}, answering from the built-in script. This is message {turn} of our talk."
rules:
  - match: '(?i)\bmy name is (?P<name>\w+)'
    answer: "Nice to meet you, {name}."
  - match: '(?i)what is my name'
    recall: '(?i)\bmy name is (?P<name>\w+)'
    answer: "Your name is {name}."
    otherwise: "You have not told me your name yet."
"""


class Latency(Strict):
    """How long the scripted model takes."""

    first_token_seconds: Seconds = Field(0.0, alias="firstTokenSeconds")
    per_token_seconds: Seconds = Field(0.0, alias="perTokenSeconds")


class Fault(Strict):
    """A failure that strikes every `every`-th request, counted from 1."""

    kind: Literal["status", "connect", "timeout", "reset"]
    every: Every = 1
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after_seconds: Annotated[int, Field(ge=0, le=3600)] | None = Field(
        None, alias="retryAfterSeconds"
    )
    after_tokens: Annotated[int, Field(ge=1, le=100_000)] = Field(1, alias="afterTokens")

    @model_validator(mode="after")
    def _status_belongs_to_its_kind(self) -> "Fault":
        if (self.kind == "status") != (self.status is not None):
            raise ValueError("needs `status` exactly when kind is status; add or remove `status`")
        return self


class Tokens(Strict):
    """Token counts to report instead of counting words."""

    prompt: Annotated[int, Field(ge=0, le=10_000_000)]
    completion: Annotated[int, Field(ge=0, le=10_000_000)]


class Rule(Strict):
    """An answer to messages that match; with `recall` it also needs an earlier user message."""

    match: str
    recall: str | None = None
    answer: Text | None = None
    otherwise: Text | None = None
    latency: Latency | None = None
    tokens: Tokens | None = None
    fault: Fault | None = None

    @field_validator("match", "recall")
    @classmethod
    def _pattern_is_affordable(cls, pattern: str | None) -> str | None:
        complaint = None if pattern is None else pattern_cost.objection(pattern)
        if complaint:
            raise ValueError(complaint)
        return pattern

    @model_validator(mode="after")
    def _is_complete(self) -> "Rule":
        if self.answer is None and self.fault is None:
            raise ValueError("has neither answer nor fault; add an answer")
        if (self.recall is None) != (self.otherwise is None):
            raise ValueError("recall and otherwise belong together; give both or neither")
        groups = _groups(self.match)
        _require_known(self.answer, groups | _groups(self.recall), "answer")
        _require_known(self.otherwise, groups, "otherwise")
        return self


class Script(Strict):
    """All that a scripted provider knows."""

    default: Text = "I have no scripted answer for that."
    latency: Latency = Field(default_factory=lambda: Latency.model_validate({}))
    rules: Annotated[list[Rule], Field(max_length=MAX_RULES)] = Field(default_factory=list)
    faults: Annotated[list[Fault], Field(max_length=50)] = Field(default_factory=list)

    @field_validator("default")
    @classmethod
    def _default_is_answerable(cls, text: str) -> str:
        _require_known(text, frozenset(), "it")
        return text


def _groups(pattern: str | None) -> frozenset[str]:
    return frozenset(re.compile(pattern).groupindex) if pattern is not None else frozenset()


def _require_known(text: str | None, groups: frozenset[str], field: str) -> None:
    unknown = sorted(set(PLACEHOLDER.findall(text or "")) - groups - BUILT_IN_NAMES)
    if unknown:
        raise ValueError(
            f"{field} uses {{{unknown[0]}}}, which no pattern of the rule captures; "
            f"capture it with (?P<{unknown[0]}>...), or use {{agent}}, {{message}}, {{turn}}"
        )


def parse(text: str | None, *, path: str) -> Script:
    """Return the script in a YAML text (None: the built-in one); raise `Invalid` below `path`."""
    document = documents.parse_yaml(DEFAULT_SCRIPT if text is None else text, path=path)
    try:
        return Script.model_validate({} if document is None else document)
    except ValidationError as exc:
        raise Invalid(problems_of(exc, known="the answers format", prefix=path)) from exc
