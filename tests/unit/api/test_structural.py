"""The rewriter: what JSON Schema says in a CRD's words, and what it refuses."""

from collections.abc import Iterator
from typing import Any

import pytest

from agentsystem_operator.api import crd

TEXT = {"type": "string", "maxLength": 9}


def _field(field: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return what becomes of one described field of an object."""
    described = {"description": "A field.", **field}
    whole = {"type": "object", "properties": {"f": described}, **more}
    rewritten = dict(crd.structural(whole)["properties"]["f"])
    assert rewritten.pop("description") == "A field."
    return rewritten


@pytest.mark.parametrize(
    ("pydantic", "want"),
    [
        pytest.param(
            {"anyOf": [TEXT, {"type": "null"}], "default": None}, TEXT, id="optional by absence"
        ),
        pytest.param(
            {"anyOf": [{"type": "integer", "maximum": 9}, {**TEXT, "pattern": "^a$"}]},
            {
                "pattern": "^a$",
                "maximum": 9,
                "maxLength": 9,
                "x-kubernetes-int-or-string": True,
            },
            id="integer or string",
        ),
        pytest.param(
            {"anyOf": [{"type": "string", "maxLength": 2}, {"type": "integer"}, {"type": "null"}]},
            {"maxLength": 2, "x-kubernetes-int-or-string": True},
            id="integer or string or nothing",
        ),
        pytest.param(
            {"const": "a", "type": "string"}, {"type": "string", "enum": ["a"]}, id="constant"
        ),
        pytest.param(
            {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9},
            {"type": "integer", "minimum": 1, "maximum": 8},
            id="open bounds",
        ),
        pytest.param(
            {"type": "array", "items": TEXT, "maxItems": 3, "uniqueItems": True},
            {"type": "array", "maxItems": 3, "items": TEXT, "x-kubernetes-list-type": "set"},
            id="set",
        ),
        pytest.param(
            {"type": "array", "items": TEXT, "maxItems": 3, "default": []},
            {"type": "array", "maxItems": 3, "items": TEXT, "x-kubernetes-list-type": "atomic"},
            id="list",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": TEXT, "maxProperties": 2},
            {"type": "object", "maxProperties": 2, "additionalProperties": TEXT},
            id="map",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": True},
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            id="anything",
        ),
        pytest.param(
            {"type": "object", "properties": {}, "additionalProperties": False},
            {"type": "object", "properties": {}},
            id="unknown fields",
        ),
        pytest.param(
            {"type": "boolean", "default": False, "title": "F", "examples": [True]},
            {"type": "boolean", "default": False},
            id="scalar default",
        ),
    ],
)
def test_what_a_crd_can_say_is_rewritten(pydantic: dict[str, Any], want: dict[str, Any]) -> None:
    assert _field(pydantic) == want


def test_reference_is_inlined_and_what_stands_beside_it_wins() -> None:
    defs = {"Text": {**TEXT, "title": "Text", "description": "Any text."}}
    assert _field({"$ref": "#/$defs/Text", "default": "a"}, **{"$defs": defs}) == {
        "type": "string",
        "default": "a",
        "maxLength": 9,
    }


@pytest.mark.parametrize(
    ("pydantic", "why"),
    [
        ({"anyOf": [TEXT, {"type": "boolean"}]}, "only unions of an integer and a string"),
        ({"oneOf": [TEXT]}, "oneOf cannot be expressed"),
        ({**TEXT, "allOf": []}, "allOf cannot be expressed"),
        ({"type": "object", "properties": {}, "discriminator": {}}, "discriminator cannot"),
        ({"type": "array", "prefixItems": [], "maxItems": 1}, "prefixItems cannot"),
        ({"type": "object", "patternProperties": {}, "maxProperties": 1}, "patternProperties"),
        ({"type": "object", "propertyNames": {}, "maxProperties": 1}, "propertyNames cannot"),
        ({"type": "number", "exclusiveMinimum": 0}, "exclusiveMinimum is only known for integers"),
        ({"type": "object", "properties": {}, "additionalProperties": TEXT}, "exclude each other"),
        ({"type": "object", "properties": {}, "default": {"a": 1}}, "hides its fields"),
        ({"maxLength": 3}, "has no type"),
        ({"type": "string"}, "has no upper bound: maxLength"),
        ({"type": "array", "items": TEXT}, "has no upper bound: maxItems"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 1}, r"f\[\]: has no upper"),
        ({"type": "object", "additionalProperties": TEXT}, "has no upper bound: maxProperties"),
        ({**TEXT, "pattern": "^(?!a)"}, "means something else, or nothing, in RE2"),
        ({**TEXT, "pattern": r"^\d+$"}, "means something else, or nothing, in RE2"),
        ({**TEXT, "description": ""}, "f: has no description"),
        ({"$ref": "#/$defs/Loop"}, "Loop contains itself"),
    ],
)
def test_what_a_crd_cannot_say_is_refused_with_its_place(
    pydantic: dict[str, Any], why: str
) -> None:
    loop = {"type": "object", "properties": {"f": {"$ref": "#/$defs/Loop"}}}
    with pytest.raises(crd.NotStructuralError, match=why) as refusal:
        _field(pydantic, **{"$defs": {"Loop": loop}})
    assert refusal.value.at.startswith("schema.f")


def _nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for child in schema.get("properties", {}).values():
        yield from _nodes(child)
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from _nodes(schema[key])


def _schema(part: str) -> dict[str, Any]:
    version = crd.build_crd()["spec"]["versions"][0]
    return dict(version["schema"]["openAPIV3Schema"]["properties"][part])


@pytest.mark.parametrize("part", ["spec", "status"])
def test_schema_holds_only_keywords_of_a_crd(part: str) -> None:
    for node in _nodes(_schema(part)):
        assert not set(node) - set(crd.KEYWORDS)
        assert "type" in node or node["x-kubernetes-int-or-string"]


def test_each_rule_names_its_field_and_is_short_enough_for_the_apiserver() -> None:
    rules = [
        rule
        for node in _nodes(_schema("spec"))
        for rule in node.get("x-kubernetes-validations", [])
    ]
    assert len(rules) > 30
    for rule in rules:
        assert rule["message"]
        assert len(rule["message"]) <= 2048
        assert "\n" not in rule["message"]
