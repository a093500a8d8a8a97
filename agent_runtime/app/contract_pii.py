"""The part `guard.pii` of the rendered config (v1.1): what is found, and what becomes of it."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from agent_runtime.app.contract_types import SecretPlace
from agent_runtime.guard.pii import user_patterns
from agent_runtime.guard.pii.kinds import LABELS, label_of
from agent_runtime.problems import Strict

MAX_PATTERNS = 10

_NAME = re.compile(r"[a-z](-?[a-z0-9])*")


def _pattern(text: str) -> str:
    user_patterns.parse(text)
    return text


def _pattern_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("is no name; use lower-case letters, digits and single dashes")
    if label_of(text) in LABELS.values():
        raise ValueError("is the name of a kind; choose another")
    return text


class _Treated(Strict):
    policy: Literal["Mask", "Hash", "Block"]
    restore: bool = False

    @model_validator(mode="after")
    def _only_what_passes_comes_back(self) -> "_Treated":
        if self.restore and self.policy == "Block":
            raise ValueError("has `restore` with policy Block; remove one of them")
        return self


class PiiKindEntry(_Treated):
    """A kind that the runtime knows by itself."""

    kind: Literal["Email", "Phone", "IDCard", "BankCard", "IPAddress", "Passport"]


class PiiPatternEntry(_Treated):
    """A pattern of the user's."""

    name: Annotated[str, Field(max_length=20), AfterValidator(_pattern_name)]
    pattern: Annotated[
        str, Field(min_length=1, max_length=user_patterns.MAX_LENGTH), AfterValidator(_pattern)
    ]


class PiiEntry(Strict):
    """How data about people is protected."""

    key: SecretPlace
    kinds: Annotated[list[PiiKindEntry], Field(max_length=6)] = Field(default_factory=list)
    patterns: Annotated[list[PiiPatternEntry], Field(max_length=MAX_PATTERNS)] = Field(
        default_factory=list
    )

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> "PiiEntry":
        if not (self.kinds or self.patterns):
            raise ValueError("looks for nothing; add one of `kinds` or `patterns`")
        if len({entry.kind for entry in self.kinds}) < len(self.kinds):
            raise ValueError("has a kind twice; remove one")
        if len({entry.name for entry in self.patterns}) < len(self.patterns):
            raise ValueError("has a pattern's name twice; rename one")
        return self
