"""The rules between the fields of `guard`, on the raw document as in `references`."""

from collections.abc import Iterator
from typing import Any

from agent_runtime.problems import Problem

_SECTION_OF = {"APIKey": "apiKeys", "JWT": "jwt"}
_KEYS = ("jwksURL", "sharedKey")
_OF_CALLERS = ("perKey", "perTenant")


def check(document: dict[str, Any]) -> Iterator[Problem]:
    """Yield what does not fit together."""
    yield from _auth(document)
    guard = _object(document, "guard")
    for limit in _OF_CALLERS:
        if _object(guard, "limits").get(limit) is not None and guard.get("auth") is None:
            what = "needs to know who asks"
            yield Problem(f"guard.limits.{limit}", what, "remove it, or add guard.auth")


def _auth(document: dict[str, Any]) -> Iterator[Problem]:
    auth = _object(_object(document, "guard"), "auth")
    own = _SECTION_OF.get(str(auth.get("type")))
    if own is None:
        return  # no authentication, or one that is told to be wrong already
    for section in _SECTION_OF.values():
        path = f"guard.auth.{section}"
        if section == own and not isinstance(auth.get(section), dict):
            yield Problem(path, "is missing", f"say where type {auth['type']} finds its keys")
        elif section != own and auth.get(section) is not None:
            what = f"does not belong to type {auth['type']}"
            yield Problem(path, what, f"remove it, or use {own}")
    jwt = _object(auth, "jwt")
    if own == "jwt" and jwt and sum(jwt.get(key) is not None for key in _KEYS) != 1:
        what = "needs exactly one source of keys"
        yield Problem("guard.auth.jwt", what, f"give {' or '.join(_KEYS)}")


def _object(document: dict[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}
