"""AgentSystem v1alpha1 as a whole, and the one place where a stored object is parsed.

`parse` is called once at the edge; whatever it returns is trusted inside. Its problems name fields
in Kubernetes' notation and never repeat values, since a value may be a prompt or a key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import (
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from agentsystem_operator.api import types
from agentsystem_operator.api.base import STORED, ApiModel, Location
from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.api.status import AgentSystemStatus, Timestamp

GROUP = "agentsystem.dev"
VERSION = "v1alpha1"
API_VERSION: Final = "agentsystem.dev/v1alpha1"
KIND: Final = "AgentSystem"
PLURAL = "agentsystems"
SINGULAR = "agentsystem"
SHORT_NAME = "asys"
CATEGORY = "agentops"

NAME_MAX_LENGTH = 30
NAME_MESSAGE = (
    "must be at most 30 lower-case letters, digits and single '-', starting with a letter,"
    " since the names of the system's objects are made from it; choose another metadata.name"
)


class Metadata(ApiModel):
    """What the operator reads of an object's metadata."""

    model_config = ConfigDict(extra="ignore")

    name: str = ""
    """Name of the system."""
    namespace: str = ""
    """Namespace of the system and of everything it refers to."""
    uid: str = ""
    """Identity of the object; another one means another object of the same name."""
    generation: int = 0
    """Counts changes of the spec."""
    resource_version: str = ""
    """Changes with every write."""
    deletion_timestamp: Timestamp | None = None
    """When deletion was asked for."""
    labels: Mapping[str, str] = Field(default_factory=dict)
    """Labels of the object."""
    annotations: Mapping[str, str] = Field(default_factory=dict)
    """Annotations of the object."""


class AgentSystem(ApiModel):
    """A whole multi-agent LLM system: one resource deploys, wires and runs it."""

    api_version: Literal["agentsystem.dev/v1alpha1"] = API_VERSION
    """Version of this API."""
    kind: Literal["AgentSystem"] = KIND
    """Kind of the object."""
    metadata: Metadata
    """Metadata of the object."""
    spec: AgentSystemSpec
    """What is declared."""
    status: AgentSystemStatus = AgentSystemStatus()
    """What the operator sees and concludes."""

    @field_validator("metadata")
    @classmethod
    def _name_leaves_room(cls, metadata: Metadata) -> Metadata:
        fits = len(metadata.name) <= NAME_MAX_LENGTH
        if fits and re.fullmatch(types.NAME_PATTERN, metadata.name):
            return metadata
        problem = PydanticCustomError("rule", "{text}", {"text": NAME_MESSAGE})
        raise ValidationError.from_exception_data(
            "Metadata", [InitErrorDetails(type=problem, loc=("name",), input=None)]
        )

    @field_validator("status", mode="wrap")
    @classmethod
    def _status_is_output(
        cls, body: Any, parse_status: ValidatorFunctionWrapHandler
    ) -> AgentSystemStatus:
        # Nothing is decided from status, so an unreadable one is one to be written anew.
        try:
            status: AgentSystemStatus = parse_status(body)
        except ValidationError:
            return AgentSystemStatus()
        return status


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with a resource, and what to do about it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(frozen=True, slots=True)
class Invalid:
    """An object that is not a valid AgentSystem; its metadata still tells which one it is."""

    metadata: Metadata
    problems: tuple[Problem, ...]


def parse(body: Mapping[str, Any], *, stored: bool = False) -> AgentSystem | Invalid:
    """Return the resource, or every problem of it, sorted by path. Never raises for bad content.

    `stored`: the apiserver has taken it, maybe before some rules came (`Rule.for_stored`).
    """
    context = STORED if stored else None
    try:
        return AgentSystem.model_validate(body, by_alias=True, by_name=False, context=context)
    except ValidationError as exc:
        return Invalid(_metadata(body), problems_of(exc, body))


def problems_of(error: ValidationError, body: object) -> tuple[Problem, ...]:
    """Return the problems of a failed validation of `body`, one per field, sorted by path."""
    messages: dict[str, list[str]] = {}
    for detail in _without_echoes(error.errors(include_url=False, include_input=False)):
        location = detail["loc"] if detail["type"] == "rule" else _without_tags(detail, body)
        said = messages.setdefault(path_of(location), [])
        if (text := _message(detail)) not in said:
            said.append(text)
    return tuple(sorted(Problem(path, "; or ".join(said)) for path, said in messages.items()))


def _without_echoes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out lists that are too short only because pydantic did not count their bad items."""
    return [
        detail
        for detail in details
        if detail["type"] != "too_short"
        or not any(other["loc"][:-1][: len(detail["loc"])] == detail["loc"] for other in details)
    ]


def path_of(location: Location) -> str:
    """Return a pydantic location in Kubernetes' notation: spec.agents[1].route."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{_visible(step)}" for step in location)
    return "".join(steps).removeprefix(".")


def _without_tags(detail: ErrorDetails, body: object) -> Location:
    """Return the location without the union member that pydantic appends, which is no field.

    Every step of a field's location exists in the body; only a missing one may lack its last.
    """
    location: Location = detail["loc"]
    if detail["type"] == "missing":
        return location
    for depth, step in enumerate(location):
        try:
            body = body[step]  # type: ignore[index]  # a step that does not fit ends the path
        except (TypeError, LookupError):
            return location[:depth]
    return location


def _visible(key: str) -> str:
    """Return a field's name; an unknown one comes from the author, so it is cut and cleaned."""
    return re.sub("[^-a-zA-Z0-9_./]", "?", key[:64])


_MESSAGES = {
    "missing": "is required; set it",
    "extra_forbidden": "is not a field of this API; remove it or correct its spelling",
    "string_too_long": "must be at most {max_length} characters",
    "string_too_short": "must be at least {min_length} characters",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least {min_length} items",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "enum": "must be one of {expected}",
    "literal_error": "must be {expected}",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be a string",
    "tuple_type": "must be a list",
    "mapping_type": "must be an object",
    "dict_type": "must be an object",
    "model_type": "must be an object",
}


def _message(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == "rule":
        return str(context["text"])
    if detail["type"] == "string_pattern_mismatch":
        pattern = context["pattern"]
        return types.PATTERN_MEANS.get(pattern, f"must match {pattern}")
    return _MESSAGES.get(detail["type"], "is not valid").format(**context)


def _metadata(body: Mapping[str, Any]) -> Metadata:
    try:
        return Metadata.model_validate(body.get("metadata", {}), by_alias=True, by_name=False)
    except ValidationError:
        return Metadata()
