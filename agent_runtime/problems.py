"""What is wrong with a file a person wrote: every wrong field, by path, with the fix.

Lowest layer; may import nothing of ours. Values are never echoed: they may be prompts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One wrong field: where it is, what is wrong, and what to do about it."""

    path: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.fix}"


class Invalid(Exception):  # the condition is the name
    """A file cannot be used; give up until a person has corrected it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))


class Strict(BaseModel):
    """A frozen object of a file: no unknown keys, no silent conversion of types."""

    # hide_input_in_errors: a validation error must never carry a prompt into a log
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


_FIXES = {
    "missing": ("is missing", "add it"),
    "string_type": ("must be a string", "put the value in quotes"),
    "float_type": ("must be a number", "write it without quotes or unit"),
    "int_type": ("must be a whole number", "write it without quotes, fraction or unit"),
    "bool_type": ("must be true or false", "write true or false without quotes"),
    "list_type": ("must be a list", "write a list, one item or more"),
    "model_type": ("must be an object", "write the object's keys and values"),
    "finite_number": ("must be a finite number", "write an ordinary number"),
}


def problems_of(error: ValidationError, *, known: str, prefix: str = "") -> list[Problem]:
    """Return one problem per wrong field; `known` names the contract for unknown keys."""
    return [_problem(entry, known=known, prefix=prefix) for entry in error.errors()]


def _problem(entry: Mapping[str, Any], *, known: str, prefix: str) -> Problem:
    path = join_path(prefix, entry["loc"])
    kind = entry["type"]
    if kind == "extra_forbidden":
        return Problem(path, f"is not a field of {known}", "remove it, or correct its spelling")
    if kind in _FIXES:
        return Problem(path, *_FIXES[kind])
    # a rule of ours: its text is "what; fix" already
    what, _, fix = str(entry["msg"]).removeprefix("Value error, ").partition("; ")
    return Problem(path, _lower(what), fix or "correct the value")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def join_path(prefix: str, location: Iterable[str | int]) -> str:
    """Return `a.b[0].c` for a location such as ("b", 0, "c") below the prefix `a`."""
    path = prefix
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else step
    return path or "(whole file)"
