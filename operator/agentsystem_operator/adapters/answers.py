"""What the apiserver's answers mean to us: each bad one becomes one of the few errors of `ports`.

Texts of refusals are cleaned here and nowhere else: the apiserver echoes the offending value, and
a value may be a prompt or a key (I15).
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from agentsystem_operator import ports

UNAUTHORIZED, NOT_FOUND, CONFLICT, GONE, TOO_MANY = 401, 404, 409, 410, 429
SERVER_ERRORS = 500
TEXT_MAX = 500
"""Longer refusals would only repeat themselves, once per container."""
_OF_THE_OBJECT = (
    "failed calling webhook",
    "request is too large",
    "trying to send message larger than max",
)
"""Internal errors that concern the object that was written: the apiserver itself is well."""
RETRY_AFTER_MAX_S = 60.0
"""A server that asks for more is asked again after this."""

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`')
_ECHO = re.compile(r"^(Invalid value|Duplicate value|Not found|Unsupported value|Too long): ")
_PLAIN_ACCESS = re.compile(r'^[\w.-]+ (?:"[\w.:-]+" )?is forbidden: (?:User "|exceeded quota: )')


def error_of(status: int, headers: Mapping[str, str], content: bytes) -> ports.ClusterError:
    """Return the error that an answer other than 2xx stands for."""
    body = _status_object(content)
    if status == SERVER_ERRORS and any(text in _said(body) for text in _OF_THE_OBJECT):
        return ports.Refused(clean(status, body), status=status)
    # Credentials that were not accepted say nothing about an object: wait for better ones.
    if status in (UNAUTHORIZED, TOO_MANY) or status >= SERVER_ERRORS:
        return ports.ClusterUnreachable(
            f"apiserver answered {status}", retry_after_s=_retry_after(headers, body)
        )
    if status in (NOT_FOUND, GONE) or _has_cause(body, "reason", "NamespaceTerminating"):
        return ports.Gone(f"{status} {body.get('reason', '')}".strip())
    if status == CONFLICT or _has_cause(body, "field", "metadata.uid"):
        return ports.ConflictLost(f"{status} {body.get('reason', '')}".strip())
    return ports.Refused(clean(status, body), status=status)


def clean(status: int, body: Mapping[str, Any]) -> str:
    """Return why a request was refused, with the fields named and no value echoed."""
    causes = _causes(body)
    if causes:
        text = "; ".join(_cause(cause) for cause in causes)
    else:
        text = _without_values(_said(body) or f"status {status}")
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


def _cause(cause: Mapping[str, Any]) -> str:
    field, message = str(cause.get("field", "")), str(cause.get("message", ""))
    echoed = _ECHO.match(message)
    if echoed:
        message = f"{echoed[1]}: {_after_value(message[echoed.end() :])}"
    return f"{field}: {_without_values(message)}" if field else _without_values(message)


def _after_value(text: str) -> str:
    """Return the explanation behind an echoed value: a Go string, number, struct or JSON text."""
    quoted = _QUOTED.match(text)
    if quoted:
        return text[quoted.end() :].lstrip(": ")
    # A struct or JSON text may hold anything, ": " included; only what follows its last brace is
    # surely not part of it.
    _, brace, tail = text.rpartition("}: ")
    return tail if brace else text.partition(": ")[2]


def _without_values(message: str) -> str:
    if _PLAIN_ACCESS.match(message):
        return message  # who may not do what: names of accounts and resources only
    return _QUOTED.sub('"…"', message)


def _said(body: Mapping[str, Any]) -> str:
    return str(body.get("message") or "")


def _causes(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    details = body.get("details")
    found = details.get("causes") if isinstance(details, Mapping) else None
    return [cause for cause in found if isinstance(cause, Mapping)] if found else []


def _has_cause(body: Mapping[str, Any], name: str, value: str) -> bool:
    return any(cause.get(name) == value for cause in _causes(body))


def _retry_after(headers: Mapping[str, str], body: Mapping[str, Any]) -> float | None:
    details = body.get("details")
    stated = headers.get("Retry-After")
    if stated is None and isinstance(details, Mapping):
        stated = details.get("retryAfterSeconds")
    try:
        return min(max(float(stated), 0.0), RETRY_AFTER_MAX_S) if stated is not None else None
    except ValueError:
        return None


def _status_object(content: bytes) -> Mapping[str, Any]:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
