"""Why providers fail, and what follows: every failure is classed once, and one table decides.

Pure: status, body and headers go in. `base` names the classes; the route retries and falls back,
the breaker opens and the ledger charges by this table alone.
"""

import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent_runtime.providers.base import ErrorClass, Json

RETRY_AFTER_MAX_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Conduct:
    """What one class of failure asks for."""

    retry: bool = False
    """Whether the same provider may do better a moment later."""
    fall_back: bool = False
    """Whether another provider may do better with the same request."""
    opens_breaker: bool = False
    """Whether it says that the provider, not the request, is at fault."""
    charge: bool = False
    """Whether the provider may have billed tokens for it."""


_PASSING = Conduct(retry=True, fall_back=True, opens_breaker=True)

CONDUCT: Mapping[ErrorClass, Conduct] = {
    ErrorClass.CONNECT: _PASSING,
    # the model may have worked all that time, and would again
    ErrorClass.TIMEOUT: Conduct(fall_back=True, opens_breaker=True, charge=True),
    ErrorClass.RATE_LIMITED: _PASSING,
    # only a person or the next month helps
    ErrorClass.QUOTA_EXHAUSTED: Conduct(fall_back=True, opens_breaker=True),
    ErrorClass.OVERLOADED: _PASSING,
    ErrorClass.SERVER_ERROR: _PASSING,
    # the key's file is watched anyway, so there is nothing to protect the provider from
    ErrorClass.KEY_MISSING: Conduct(fall_back=True),
    ErrorClass.AUTH: Conduct(fall_back=True, opens_breaker=True),
    ErrorClass.REFUSED: Conduct(),
    # another model may have the room
    ErrorClass.CONTEXT_TOO_LONG: Conduct(fall_back=True),
    # asking elsewhere until somebody says yes would defeat the policy
    ErrorClass.CONTENT_POLICY: Conduct(),
    ErrorClass.UNSUPPORTED: Conduct(fall_back=True),
    ErrorClass.BAD_ANSWER: Conduct(fall_back=True, opens_breaker=True, charge=True),
    # part of the answer is with the client already
    ErrorClass.BROKEN: Conduct(opens_breaker=True, charge=True),
    # it was waited for already
    ErrorClass.LIMITED: Conduct(fall_back=True),
    # waiting for the probe would only pile up requests
    ErrorClass.CIRCUIT_OPEN: Conduct(fall_back=True),
    # a cheaper model of the chain may fit, or one that costs nothing
    ErrorClass.BUDGET_SPENT: Conduct(fall_back=True),
    ErrorClass.BUDGET_UNKNOWN: Conduct(fall_back=True),
    ErrorClass.UNPRICED: Conduct(fall_back=True),
}

UNAFFORDABLE = frozenset({ErrorClass.BUDGET_SPENT, ErrorClass.BUDGET_UNKNOWN, ErrorClass.UNPRICED})
"""What the budget refused; the provider was not asked, so it says nothing about it."""


_CODES = {
    "insufficient_quota": ErrorClass.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": ErrorClass.QUOTA_EXHAUSTED,
    "billing_not_active": ErrorClass.QUOTA_EXHAUSTED,
    "billing_error": ErrorClass.QUOTA_EXHAUSTED,
    "context_length_exceeded": ErrorClass.CONTEXT_TOO_LONG,
    "content_filter": ErrorClass.CONTENT_POLICY,
    "content_policy_violation": ErrorClass.CONTENT_POLICY,
    "rate_limit_exceeded": ErrorClass.RATE_LIMITED,
    "rate_limit_error": ErrorClass.RATE_LIMITED,
    "overloaded_error": ErrorClass.OVERLOADED,
    "authentication_error": ErrorClass.AUTH,
    "permission_error": ErrorClass.AUTH,
    "invalid_api_key": ErrorClass.AUTH,
}
"""What the `code` or `type` of an error body means, whatever its status."""

# Texts are the last resort: these two conditions have no code of their own at some endpoints.
_TEXTS = (
    (
        re.compile(r"credit balance is too low|exceeded your current quota|out of credit", re.I),
        ErrorClass.QUOTA_EXHAUSTED,
    ),
    (
        re.compile(r"maximum context length|prompt is too long|context window", re.I),
        ErrorClass.CONTEXT_TOO_LONG,
    ),
)
_TEXT_MAX = 2000

_STATUSES = {
    401: ErrorClass.AUTH,
    402: ErrorClass.QUOTA_EXHAUSTED,
    403: ErrorClass.AUTH,
    408: ErrorClass.TIMEOUT,
    429: ErrorClass.RATE_LIMITED,
    503: ErrorClass.OVERLOADED,
    529: ErrorClass.OVERLOADED,
    **dict.fromkeys((400, 413, 422), ErrorClass.REFUSED),
}


def class_of(status: int, error: Json | None = None) -> ErrorClass:
    """Return the class of an answer that is none.

    `error` is the object under `error` in the body, if there is one. A status of 200 is that of an
    error body where an answer should be.
    """
    said = error or {}
    for name in ("code", "type"):
        known = _CODES.get(said[name]) if isinstance(said.get(name), str) else None
        if known is not None:
            return known
    if status < 500 and isinstance(text := said.get("message"), str):
        for pattern, found in _TEXTS:
            if pattern.search(text[:_TEXT_MAX]):
                return found
    if status in _STATUSES:
        return _STATUSES[status]
    return ErrorClass.SERVER_ERROR if status >= 500 or status == 200 else ErrorClass.BAD_ANSWER


def error_in(body: Any) -> Json | None:  # a JSON edge
    """Return the error object of a parsed body, in OpenAI's or Anthropic's shape."""
    found = body.get("error") if isinstance(body, dict) else None
    if isinstance(found, str) and found:
        return {"message": found}
    return found if isinstance(found, dict) else None


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return for how many seconds a provider asks to be left alone, None if it does not say.

    RFC 9110: seconds, or an HTTP date; `retry-after-ms` is OpenAI's finer form of it.
    """
    if (ms := _number(headers.get("retry-after-ms"))) is not None:
        return min(ms / 1000, RETRY_AFTER_MAX_S)
    text = headers.get("retry-after")
    if text is None or (seconds := _number(text)) is not None:
        return None if text is None else min(seconds or 0.0, RETRY_AFTER_MAX_S)
    try:
        then = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return min(max((then - now).total_seconds(), 0.0), RETRY_AFTER_MAX_S)


def _number(text: str | None) -> float | None:
    if text is None or not re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text.strip()):
        return None
    return float(text)
