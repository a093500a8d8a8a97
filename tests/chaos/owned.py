"""Every field of a live object that the operator owns, and what somebody else could make of it.

The list is the apiserver's own record (`managedFields`), so that a field which the operator begins
to write is tampered with from that day on.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.kube import Object

MAIN = "agentsystem"
"""The field manager that everything but replicas belongs to."""
_OWNERS = ("metadata", "ownerReferences")
_AMOUNT = re.compile("([0-9]+)(m|Ki|Mi|Gi)?")
_OTHERS = {
    "TCP": "UDP",
    "ClusterIP": "NodePort",
    "IfNotPresent": "Always",
    "AlwaysAllow": "IfHealthyBudget",
    "OnRootMismatch": "Always",
    "RuntimeDefault": "Unconfined",
    "ScheduleAnyway": "DoNotSchedule",
    "Honor": "Ignore",
    "NoExecute": "NoSchedule",
    "Exists": "Equal",
    "Recreate": "RollingUpdate",
    "ReadWriteOnce": "ReadWriteMany",
}
"""For values of a closed set another one of it."""


@dataclass(frozen=True, slots=True)
class Owned:
    """One field of a live object."""

    name: str
    """What it is called however its lists are ordered."""
    path: tuple[str | int, ...]
    """Where it stands now."""
    value: Any
    is_item: bool = False
    """A whole item of a list that is merged by key."""
    is_key: bool = False
    """A field by which its item is found in such a list: another value is another item."""

    def removed(self) -> list[Object]:
        """Return the JSON patch that takes it away."""
        return [{"op": "remove", "path": self._pointer}]

    def changed(self) -> list[Object]:
        """Return the JSON patch that makes it another."""
        return [{"op": "replace", "path": self._pointer, "value": another(self.value)}]

    @property
    def _pointer(self) -> str:
        steps = (str(step).replace("~", "~0").replace("/", "~1") for step in self.path)
        return "".join(f"/{step}" for step in steps)


def fields(live: Object, manager: str = MAIN) -> dict[str, Owned]:
    """Return what a manager owns by server-side apply, by name.

    Without owner references, which are a story of their own.
    """
    for entry in live["metadata"].get("managedFields", []):
        if entry["manager"] == manager and entry["operation"] == "Apply":
            found = _below(entry["fieldsV1"], _Place(live))
            return {each.name: each for each in found if each.path[:2] != _OWNERS}
    return {}


@dataclass(frozen=True, slots=True)
class _Place:
    value: Any
    name: str = ""
    path: tuple[str | int, ...] = ()
    keys: tuple[str, ...] = ()
    """Of the list that it is an item of."""


def _below(owned: Mapping[str, Any], place: _Place) -> Iterator[Owned]:
    for mark, inner in owned.items():
        sort, _, rest = mark.partition(":")
        if sort == "f":
            value, name = place.value[rest], f"{place.name}.{rest}".removeprefix(".")
            here = _Place(value, name, (*place.path, rest))
            if inner:
                yield from _below(inner, here)
            else:
                yield Owned(name, here.path, value, is_key=rest in place.keys)
        elif sort == "k":
            yield from _item(json.loads(rest), inner, place)


def _item(key: Mapping[str, Any], inner: Mapping[str, Any], place: _Place) -> Iterator[Owned]:
    index = next(
        number
        for number, item in enumerate(place.value)
        if all(item.get(part) == value for part, value in key.items())
    )
    name = f"{place.name}[{','.join(str(value) for value in key.values())}]"
    here = _Place(place.value[index], name, (*place.path, index), tuple(key))
    yield Owned(name, here.path, here.value, is_item=True)
    yield from _below(inner, here)


def another(value: Any) -> Any:
    """Return a value of the same sort that differs, and that an apiserver mostly accepts."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return _another_text(value)
        case dict():
            return _another_map(value)
        case list():
            return [*copy.deepcopy(value[:-1]), another(value[-1])] if value else ["more"]
        case _:
            return "something"


def _another_text(value: str) -> str:
    if value in _OTHERS:
        return _OTHERS[value]
    amount = _AMOUNT.fullmatch(value)
    if amount:
        return f"{int(amount[1]) + 1}{amount[2] or ''}"
    return f"{value}-x" if value else "x"


def _another_map(value: dict[str, Any]) -> dict[str, Any]:
    """Change one value inside, or add one where there is none."""
    if not value:
        return {"matchLabels": {"tampered": "yes"}}
    key = next(iter(value))
    return {**copy.deepcopy(value), key: another(value[key])}
