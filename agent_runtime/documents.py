"""Reads JSON and YAML that others wrote, within bounds: size, depth, no aliases.

Lowest layer, beside `problems`. YAML aliases are refused because a few lines of them expand to
gigabytes as soon as somebody walks the result.
"""

from typing import Any

import orjson
import yaml

from agent_runtime.problems import Invalid, Problem

MAX_BYTES = 1 << 20  # a ConfigMap holds no more
MAX_DEPTH = 50  # the YAML loader calls itself for each level; our formats need six
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is ten times faster
_WHOLE = "(whole file)"


def parse_json_or_yaml(text: str) -> Any:
    """Return the document in a file that is JSON if it begins with a brace, and YAML otherwise."""
    _check_size(text, _WHOLE)
    if not text.lstrip().startswith("{"):
        return parse_yaml(text, path=_WHOLE)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        fix = f"see line {exc.lineno}, column {exc.colno}"
        raise Invalid([Problem(_WHOLE, "is not valid JSON", fix)]) from exc


def parse_yaml(text: str, *, path: str) -> Any:
    """Return the parsed document; raise `Invalid` naming `path` and the line of the mistake."""
    _check_size(text, path)
    try:
        _check_events(text, path)
        return yaml.load(text, Loader=_LOADER)  # noqa: S506  # a safe loader, in C
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        line = f"see line {mark.line + 1}" if mark else "check its syntax"
        raise Invalid([Problem(path, "is not valid YAML", line)]) from exc
    # a date with a 13th month; `!!bool x` and other tags that their value contradicts
    except (ValueError, LookupError, AttributeError) as exc:
        raise Invalid([Problem(path, "holds a value that is none", "put it in quotes")]) from exc


def _check_size(text: str, path: str) -> None:
    if len(text.encode()) > MAX_BYTES:
        raise Invalid([Problem(path, "is larger than 1 MiB", "shorten it")])


def _check_events(text: str, path: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise Invalid([Problem(path, "uses a YAML alias (*name)", "write the value out")])
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise Invalid([Problem(path, "is nested too deeply", "flatten it")])
