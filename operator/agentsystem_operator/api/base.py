"""The base of every API model, and the rules that no single field can express.

A rule is written once for Python and once for CEL, side by side, so that the models and the
apiserver cannot drift apart unnoticed; tests feed both the same resources.
Rules are judged once the structure is right, and then all at once.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

Location = tuple[str | int, ...]
STORED = MappingProxyType({"stored": True})
"""Context of a validation: the object stands in the cluster already."""


def cel_string(text: str) -> str:
    """Return the text as a CEL string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One cross-field rule of one object.

    `field` is the path (camelCase, dotted) of the field to blame, relative to the object; empty
    blames the object. `broken` returns None when the rule holds, else the name of the culprit
    ("" when there is none to name). `message` may hold "{culprit}"; then `cel_culprit` is the CEL
    expression of the same name. `for_stored` False: it came later than objects that may break it,
    which run on until somebody edits them; the apiserver judges a spec only when it changes.
    """

    field: str
    message: str
    cel: str
    broken: Callable[[Any], str | None]
    cel_culprit: str = ""
    for_stored: bool = True

    @property
    def location(self) -> Location:
        """The blamed field as a pydantic location."""
        return tuple(self.field.split(".")) if self.field else ()

    def as_cel(self) -> dict[str, str]:
        """Return the rule as an entry of x-kubernetes-validations."""
        entry = {"rule": self.cel, "message": self.message.replace(": {culprit}", "")}
        if self.cel_culprit:
            before, after = self.message.split("{culprit}")
            parts = (cel_string(before), self.cel_culprit, cel_string(after))
            entry["messageExpression"] = " + ".join(parts)
        if self.field:
            entry["fieldPath"] = f".{self.field}"
        return entry


@dataclass(frozen=True, slots=True)
class TransitionRule:
    """A rule about a change of an object; only the apiserver sees both sides, so it is CEL only."""

    field: str
    message: str
    cel: str

    def as_cel(self) -> dict[str, str]:
        """Return the rule as an entry of x-kubernetes-validations."""
        return {"rule": self.cel, "message": self.message, "fieldPath": f".{self.field}"}


@dataclass(frozen=True, slots=True)
class MapList:
    """Marks a list whose items `keys` tell apart: server-side apply merges item by item."""

    keys: tuple[str, ...]

    def __init__(self, *keys: str) -> None:
        object.__setattr__(self, "keys", keys)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the list type of the CRD."""
        return handler(schema) | {
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": list(self.keys),
        }


class ApiModel(BaseModel):
    """An immutable API object: snake_case here, camelCase outside, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )
    RULES: ClassVar[tuple[Rule, ...]] = ()
    TRANSITIONS: ClassVar[tuple[TransitionRule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, body: Any) -> Any:
        # The apiserver prunes nulls of fields that are not nullable, and none of ours is; an
        # unknown field stays one, with any value.
        if not isinstance(body, Mapping):
            return body
        known = {info.alias or name for name, info in cls.model_fields.items()}
        return {key: body[key] for key in body if body[key] is not None or key not in known}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Add the rules as CEL."""
        body = handler.resolve_ref_schema(handler(schema))
        rules: tuple[Rule | TransitionRule, ...] = (*cls.RULES, *cls.TRANSITIONS)
        if rules:
            body["x-kubernetes-validations"] = [rule.as_cel() for rule in rules]
        return body

    def body(self) -> dict[str, Any]:
        """Return the object as Kubernetes JSON, with defaults written out and absent left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def stated(self) -> dict[str, Any]:
        """Return the object as Kubernetes JSON without what equals its default."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class RuledModel(ApiModel):
    """A model that judges the rules of itself and of everything below it."""

    @model_validator(mode="after")
    def _rules_hold(self, info: ValidationInfo) -> Self:
        stored = info.context is STORED
        problems = [
            InitErrorDetails(
                type=PydanticCustomError("rule", "{text}", {"text": text}), loc=where, input=None
            )
            for where, text in _violations(self, (), stored=stored)
        ]
        if problems:
            raise ValidationError.from_exception_data(type(self).__name__, problems)
        return self


def _violations(model: ApiModel, at: Location, *, stored: bool) -> Iterator[tuple[Location, str]]:
    for rule in model.RULES:
        culprit = None if stored and not rule.for_stored else rule.broken(model)
        if culprit is not None:
            yield (*at, *rule.location), rule.message.replace("{culprit}", culprit)
    for field, info in type(model).model_fields.items():
        value = getattr(model, field)
        here = (*at, info.alias or field)
        if isinstance(value, ApiModel):
            yield from _violations(value, here, stored=stored)
        elif isinstance(value, tuple):
            yield from _list_violations(value, here, _map_keys(info.metadata), stored=stored)


def _map_keys(metadata: list[Any]) -> tuple[str, ...]:
    return next((mark.keys for mark in metadata if isinstance(mark, MapList)), ())


def _list_violations(
    items: tuple[Any, ...], at: Location, keys: tuple[str, ...], *, stored: bool
) -> Iterator[tuple[Location, str]]:
    seen = set()
    for index, item in enumerate(items):
        name = " ".join(str(getattr(item, key)) for key in keys)
        if keys and name in seen:
            said = " and ".join(keys)
            yield (*at, index), f"{said} is used twice: {name}; give each item its own"
        seen.add(name)
        if isinstance(item, ApiModel):
            yield from _violations(item, (*at, index), stored=stored)
