"""Turns the models into a CustomResourceDefinition with a structural schema.

JSON Schema as pydantic writes it says more than a CRD can: what can be said in other words is
rewritten, and everything else is refused with its place, so that no rule is lost in silence.
Used by the generator and by tests; never imported by the running operator.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from agentsystem_operator.api import resource, status, types
from agentsystem_operator.api.base import ApiModel
from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.api.status import AgentSystemStatus

Schema = dict[str, Any]

# Everything a structural schema of ours may hold, in the order in which it is written.
KEYWORDS = (
    "description",
    "type",
    "format",
    "enum",
    "pattern",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "properties",
    "required",
    "items",
    "additionalProperties",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)
_DROPPED = frozenset({"title", "examples", "deprecated"})
# Look-around does not exist in RE2; the shorthands mean Unicode in one engine and ASCII in another.
_NOT_PORTABLE = re.compile(r"\(\?[=!<]|\\[dDwWsSbB]")


class NotStructuralError(ValueError):
    """A schema says something that a CRD cannot; `at` is where."""

    def __init__(self, at: str, what: str) -> None:
        super().__init__(f"{at}: {what}")
        self.at = at


def structural(schema: Mapping[str, Any], *, at: str = "schema") -> Schema:
    """Return the schema, as pydantic writes it, in the words of a CRD.

    Raises NotStructuralError for anything that would be lost on the way, for strings, lists and
    maps without an upper bound (CEL's cost estimate needs them), and for fields without a
    description.
    """
    return _rewrite(schema, dict(schema.get("$defs", {})), at=at, within=())


def _rewrite(
    schema: Mapping[str, Any], defs: Mapping[str, Any], *, at: str, within: tuple[str, ...]
) -> Schema:
    node, within = _inlined(schema, defs, at=at, within=within)
    node = _one_kind(node, defs, at=at, within=within)
    for rewrite in (_constants, _numbers, _sets, _defaults):
        node = rewrite(node, at)
    node = _children(node, lambda child, where: _rewrite(child, defs, at=where, within=within), at)
    _refuse_unknown(node, at)
    _refuse_unbounded(node, at)
    return {key: node[key] for key in KEYWORDS if key in node}


def _inlined(
    schema: Mapping[str, Any], defs: Mapping[str, Any], *, at: str, within: tuple[str, ...]
) -> tuple[Schema, tuple[str, ...]]:
    """Replace a reference by what it refers to; what stands beside the reference wins."""
    node = {key: value for key, value in schema.items() if key not in {"$defs", *_DROPPED}}
    while "$ref" in node:
        name = node.pop("$ref").rsplit("/", 1)[-1]
        if name in within:
            raise NotStructuralError(at, f"{name} contains itself")
        within = (*within, name)
        target = {key: value for key, value in defs[name].items() if key not in _DROPPED}
        node = {**target, **node}
    return node, within


def _one_kind(node: Schema, defs: Mapping[str, Any], *, at: str, within: tuple[str, ...]) -> Schema:
    """Rewrite the two unions that a CRD knows: a value or nothing, an integer or a string."""
    if "anyOf" not in node:
        return node
    members = [member for member in node["anyOf"] if member.get("type") != "null"]
    around = {key: value for key, value in node.items() if key != "anyOf"}
    if len(members) == 1:
        member, _ = _inlined(members[0], defs, at=at, within=within)
        return _one_kind({**member, **around}, defs, at=at, within=within)
    if sorted(member.get("type", "") for member in members) != ["integer", "string"]:
        raise NotStructuralError(at, "only unions of an integer and a string can be expressed")
    bounds = {key: value for member in members for key, value in _constants(member, at).items()}
    return {**_without(bounds, "type"), **around, "x-kubernetes-int-or-string": True}


def _constants(node: Schema, _at: str) -> Schema:
    if "const" not in node:
        return node
    return {**_without(node, "const"), "enum": [node["const"]]}


def _numbers(node: Schema, at: str) -> Schema:
    """An open bound of an integer is the next closed one; of a fraction it cannot be said."""
    for open_bound, closed, step in (
        ("exclusiveMinimum", "minimum", 1),
        ("exclusiveMaximum", "maximum", -1),
    ):
        if open_bound in node:
            if node.get("type") != "integer":
                raise NotStructuralError(at, f"{open_bound} is only known for integers")
            node = {**_without(node, open_bound), closed: node[open_bound] + step}
    return node


def _sets(node: Schema, _at: str) -> Schema:
    if not node.get("uniqueItems"):
        return node
    return {**_without(node, "uniqueItems"), "x-kubernetes-list-type": "set"}


def _defaults(node: Schema, at: str) -> Schema:
    """Keep scalar defaults; an empty list or object is the same as an absent one."""
    if "default" not in node:
        return node
    default = node["default"]
    if _is_empty(default):
        return _without(node, "default")
    if isinstance(default, dict | list):
        raise NotStructuralError(at, "a default that is a list or an object hides its fields'")
    return node


def _is_empty(value: object) -> bool:
    if isinstance(value, dict):
        return all(_is_empty(item) for item in value.values())
    return value is None or value == []


def _children(node: Schema, rewrite: Callable[[Mapping[str, Any], str], Schema], at: str) -> Schema:
    changed = dict(node)
    if "properties" in node:
        changed["properties"] = {
            name: _described(rewrite(child, f"{at}.{name}"), f"{at}.{name}")
            for name, child in node["properties"].items()
        }
    if "items" in node:
        changed["items"] = rewrite(node["items"], f"{at}[]")
        changed.setdefault("x-kubernetes-list-type", "atomic")
    more = changed.pop("additionalProperties", False)
    if more is True:
        changed["x-kubernetes-preserve-unknown-fields"] = True
    elif more is not False and "properties" in node:
        raise NotStructuralError(at, "properties and additionalProperties exclude each other")
    elif more is not False:
        changed["additionalProperties"] = rewrite(more, f"{at}.*")
    if "description" in changed:
        changed["description"] = " ".join(changed["description"].split())
    return changed


def _described(node: Schema, at: str) -> Schema:
    if not node.get("description"):
        raise NotStructuralError(at, "has no description")
    return node


def _refuse_unknown(node: Schema, at: str) -> None:
    for keyword in node:
        if keyword not in KEYWORDS:
            raise NotStructuralError(at, f"{keyword} cannot be expressed in a CRD")
    if "type" not in node and not node.get("x-kubernetes-int-or-string"):
        raise NotStructuralError(at, "has no type")
    if _NOT_PORTABLE.search(node.get("pattern", "")):
        raise NotStructuralError(at, "the pattern means something else, or nothing, in RE2")


_BOUND_OF = {"string": "maxLength", "array": "maxItems", "object": "maxProperties"}


def _refuse_unbounded(node: Schema, at: str) -> None:
    kind = "string" if node.get("x-kubernetes-int-or-string") else node["type"]
    if {"properties", "enum", "format", "x-kubernetes-preserve-unknown-fields"} & node.keys():
        return
    bound = _BOUND_OF.get(kind)
    if bound and bound not in node:
        raise NotStructuralError(at, f"has no upper bound: {bound}")


def _without(node: Schema, key: str) -> Schema:
    return {name: value for name, value in node.items() if name != key}


def schema_of(model: type[ApiModel], *, at: str) -> Schema:
    """Return the structural schema of one model."""
    return structural(model.model_json_schema(by_alias=True), at=at)


def _condition(part: str, kind: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{part}'


PRINTER_COLUMNS = (
    ("Ready", "string", _condition("status", "Ready"), "Whether all that is declared runs."),
    ("Reason", "string", _condition("reason", "Ready"), "Why it is ready or not."),
    ("Agents ready", "integer", ".status.readyAgents", "Agents that have all their pods."),
    ("Agents", "integer", ".status.totalAgents", "Agents declared."),
    ("Revision", "string", ".status.revision.active", "Revision that every agent runs."),
    ("Age", "date", ".metadata.creationTimestamp", "Time since the object was made."),
)


def build_crd() -> Schema:
    """Return the CustomResourceDefinition of AgentSystem."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{resource.PLURAL}.{resource.GROUP}",
            "labels": {
                "app.kubernetes.io/name": "agentsystem",
                "app.kubernetes.io/part-of": "agentsystem",
            },
        },
        "spec": {
            "group": resource.GROUP,
            "names": {
                "kind": resource.KIND,
                "listKind": f"{resource.KIND}List",
                "plural": resource.PLURAL,
                "singular": resource.SINGULAR,
                "shortNames": [resource.SHORT_NAME],
                "categories": [resource.CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [_version()],
        },
    }


def _version() -> Schema:
    return {
        "name": resource.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, "description": description}
            for name, kind, path, description in PRINTER_COLUMNS
        ],
        "schema": {"openAPIV3Schema": _root()},
    }


def _status() -> Schema:
    """Return the schema of the status, which says of a new object that it was not looked at."""
    schema = schema_of(AgentSystemStatus, at="status")
    with_default = {**schema, "default": {"observedGeneration": status.NOT_OBSERVED}}
    return {key: with_default[key] for key in KEYWORDS if key in with_default}


def _root() -> Schema:
    """Return the schema of the object; of its metadata, rules may look at the name alone."""
    name_rule = {
        "rule": (
            f"self.metadata.name.size() <= {resource.NAME_MAX_LENGTH} &&"
            f" self.metadata.name.matches('{types.NAME_PATTERN}')"
        ),
        "message": f"metadata.name {resource.NAME_MESSAGE}",
        "fieldPath": ".metadata.name",
    }
    fields = resource.AgentSystem.model_fields
    return {
        "description": (resource.AgentSystem.__doc__ or "").strip(),
        "type": "object",
        "properties": {
            "apiVersion": {"description": fields["api_version"].description, "type": "string"},
            "kind": {"description": fields["kind"].description, "type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": schema_of(AgentSystemSpec, at="spec"),
            "status": _status(),
        },
        "required": ["metadata", "spec"],
        "x-kubernetes-validations": [name_rule],
    }
