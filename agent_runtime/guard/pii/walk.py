"""Applies a change to every text in a JSON value: content, parts, arguments of tools, keys.

Arguments of tools are JSON in a text: they are changed as JSON, so that they stay it.
"""

import itertools
from collections.abc import Callable
from typing import Any

import orjson

Change = Callable[[str], str]

_OPAQUE = frozenset({"role", "type"})  # words of the protocol
_BINARY = frozenset({"data", "file_data"})  # base64 of sounds and files
_LEAST_NUMBER = 10_000_000  # no number with fewer digits is about a person


def changed(value: Any, change: Change) -> Any:  # a JSON edge
    """Return the value with every text changed; what does not change is the same object."""
    if isinstance(value, str):
        return value if value.startswith("data:") else change(value)
    if isinstance(value, dict):
        return _object(value, change)
    if isinstance(value, list):
        return _items(value, change)
    if isinstance(value, int) and not -_LEAST_NUMBER < value < _LEAST_NUMBER:
        written = str(value)
        return value if (told := change(written)) == written else told
    return value


def _object(value: dict[str, Any], change: Change) -> dict[str, Any]:
    # walked several times for each request and message, and changed seldom: nothing is built before
    found: dict[str, Any] | None = None
    for number, (key, item) in enumerate(value.items()):
        name = key if key.isidentifier() else change(key)
        told = _member(key, item, change)
        if found is None:
            if told is item and name == key:
                continue
            found = dict(itertools.islice(value.items(), number))
        found[name] = told
    return value if found is None else found


def _member(key: str, item: Any, change: Change) -> Any:
    if key in _OPAQUE or (key in _BINARY and isinstance(item, str)):
        return item
    if key == "arguments" and isinstance(item, str):
        return arguments(item, change)
    return changed(item, change)


def _items(value: list[Any], change: Change) -> list[Any]:
    found = [changed(item, change) for item in value]
    return value if all(new is old for new, old in zip(found, value, strict=True)) else found


def arguments(text: str, change: Change) -> str:
    """Return the arguments of a tool, changed; what is no JSON is changed as a text."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return change(text)
    if not isinstance(value, dict | list):
        return change(text)
    found = changed(value, change)
    return text if found is value else orjson.dumps(found).decode()
