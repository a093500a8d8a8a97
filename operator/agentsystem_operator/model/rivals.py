"""Who else writes fields that we state: names for the Event that tells what was undone.

Everything may import this. A manager's name is whatever a client sends: it is cleaned and cut
before anyone shows it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from agentsystem_operator.model import names

NAMED_AT_MOST = 3
"""A reader needs somebody to ask, not a list."""
NAME_CHARACTERS = 64
"""Of the 128 that the apiserver takes."""
KEPT_AT_MOST = 4
"""Claims kept of one object, the newest ones."""
FIELDS_BYTES = 8192
"""Of one claim: more fields than a whole Deployment of ours has."""

INTENT: Mapping[str, Any] = {"f:metadata": {"f:annotations": {f"f:{names.INTENT}": {}}}}
"""The field that tells what we last applied."""
REPLICAS: Mapping[str, Any] = {"f:spec": {"f:replicas": {}}}

_ODD = re.compile(r"[^A-Za-z0-9._/:@-]")


@dataclass(frozen=True, slots=True)
class Claim:
    """Fields that another manager has written since we last applied an object."""

    manager: str
    fields: bytes
    """Its fieldsV1 set as JSON."""


def of(claims: Iterable[Claim], fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of those that claim any of the fields, the first few of them."""
    found = {_clean(claim.manager) for claim in claims if _touch(fields, _fields(claim))}
    return tuple(sorted(found)[:NAMED_AT_MOST])


def _clean(name: str) -> str:
    return _ODD.sub("?", name[:NAME_CHARACTERS]) or "?"


def _fields(claim: Claim) -> Mapping[str, Any]:
    decoded = orjson.loads(claim.fields)
    return decoded if isinstance(decoded, Mapping) else {}


def _touch(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Say whether two sets have a field in common; an empty set is a field as a whole."""
    return any(_meet(mine, other) for mine, other in _shared(ours, theirs))


def _meet(mine: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return not mine or not other or _touch(mine, other)


def _shared(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield what stands under each name that both have; "." only says that something is there."""
    return ((ours[key], theirs[key]) for key in ours.keys() & theirs.keys() if key != ".")
