"""Errors as OpenAI's API words them: a status and {message, type, param, code}, always all four."""

import math
from typing import assert_never

import orjson

from agent_runtime.agents.private.key import KeyUnusable
from agent_runtime.guard.pii.conversation import Blocked, Side
from agent_runtime.guard.refusal import NotAdmitted, Refusal
from agent_runtime.memory.base import KeyMissing, StoreFull, StoreUnavailable
from agent_runtime.memory.sessions import WAIT_FOR_TURN_SECONDS, SessionBusy
from agent_runtime.providers.base import ErrorClass, Json, ProviderError

INVALID = "invalid_request_error"
SERVER = "server_error"


class ApiError(Exception):
    """An error for the client. Never carries anything that the client did not send itself."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = INVALID,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.headers = headers or {}

    def body(self) -> bytes:
        """Return the JSON body."""
        return orjson.dumps({"error": self.fields()})

    def fields(self) -> Json:
        """Return the error as an object."""
        return {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }

    def frame(self) -> bytes:
        """Return the event that tells the error at the end of a stream."""
        return b"data: " + self.body() + b"\n\n"


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """Return a 400 for a request that must be changed."""
    return ApiError(400, message, param=param, code=code)


def unavailable(message: str, code: str, *, retry_after: str = "1", retry: bool = True) -> ApiError:
    """Return a 503 with Retry-After; `retry=False` tells OpenAI's clients not to try by itself."""
    headers = {"retry-after": retry_after}
    if not retry:
        headers["x-should-retry"] = "false"
    return ApiError(503, message, SERVER, code=code, headers=headers)


def overloaded(*, after_s: float) -> ApiError:
    """Return the answer to one request too many."""
    text = "this agent has as many requests as it can take; come again later"
    headers = {"retry-after": _seconds(after_s)}
    return ApiError(429, text, "rate_limit_error", code="overloaded", headers=headers)


def shutting_down() -> ApiError:
    """Return the answer to a request that outlived the grace period."""
    return unavailable("the agent is shutting down; ask again", "shutting_down")


def too_long() -> ApiError:
    """Return the answer to a request that took longer than any may."""
    return ApiError(504, "the answer took too long", SERVER, code="request_timeout")


def internal() -> ApiError:
    """Return the answer to a request that met a fault of ours."""
    return ApiError(500, "the runtime failed; its log says where", SERVER, code="internal_error")


FORESEEN = (ApiError, ProviderError, SessionBusy, StoreUnavailable, Blocked, KeyUnusable)


def of(
    exc: ApiError | ProviderError | SessionBusy | StoreUnavailable | Blocked | KeyUnusable,
) -> ApiError:
    """Return what the client is told about a foreseen failure."""
    match exc:
        case ApiError():
            return exc
        case ProviderError():
            return of_provider(exc)
        case SessionBusy():
            text = f"the session's previous turn did not end within {WAIT_FOR_TURN_SECONDS:g} s"
            return ApiError(409, text, code="session_busy")
        case Blocked():
            return _of_blocked(exc)
        case KeyUnusable():
            return _of_missing_key(exc, "pii_key_missing")
        case StoreUnavailable():
            return _of_store(exc)
        case _:
            assert_never(exc)


def _of_store(exc: StoreUnavailable) -> ApiError:
    """Return what is said when a session's turn cannot be read or kept."""
    match exc:
        case KeyMissing():
            return _of_missing_key(exc, "session_key_missing")
        case StoreFull():
            return unavailable(f"no room for the session: {exc}", "session_store_full")
        case _:
            return unavailable(
                "the session store cannot be used now, and has not confirmed this turn; ask again",
                "session_store_unavailable",
            )


def _of_missing_key(exc: Exception, code: str) -> ApiError:
    after = _seconds(_A_PERSON_MUST_ACT_S)
    return unavailable(str(exc), code, retry_after=after, retry=False)


def _of_blocked(exc: Blocked) -> ApiError:
    """Return what is said of data that must not pass: its kind, and never what it was."""
    if exc.side is Side.ANSWER:
        text = f"the answer held personal data of kind {exc.kind}, which may not pass"
        headers = {"x-should-retry": "false"}
        return ApiError(502, text, SERVER, code="answer_blocked", headers=headers)
    text = f"the request holds personal data of kind {exc.kind}, which may not pass; remove it"
    return invalid(text, param="messages", code="personal_data_blocked")


_CHALLENGE = {"www-authenticate": 'Bearer realm="agentsystem"'}


def of_guard(exc: NotAdmitted) -> ApiError:
    """Return what a client is told that is not let in."""
    headers = dict(exc.headers)
    if exc.retry_after_s is not None:
        headers["retry-after"] = _seconds(exc.retry_after_s)
    match exc.refusal:
        case Refusal.UNAVAILABLE:
            after = _seconds(exc.retry_after_s or _A_PERSON_MUST_ACT_S)
            retry = exc.retry_after_s is not None
            return unavailable(exc.message, exc.refusal, retry_after=after, retry=retry)
        case Refusal.ROLE:
            return ApiError(403, exc.message, code=exc.refusal)
        case _:
            return ApiError(401, exc.message, code=exc.refusal, headers=headers | _CHALLENGE)


# status, code; what is the platform's fault is never a 4xx
_OF_PROVIDER = {
    ErrorClass.CONNECT: (502, "provider_unreachable"),
    ErrorClass.TIMEOUT: (504, "provider_timeout"),
    ErrorClass.SERVER_ERROR: (502, "provider_error"),
    ErrorClass.AUTH: (502, "provider_key_refused"),
    ErrorClass.BAD_ANSWER: (502, "provider_bad_answer"),
    ErrorClass.BROKEN: (502, "provider_broke_off"),
}
# code, whether to try again: what may be over in a moment, or needs a person
_UNAVAILABLE = {
    ErrorClass.OVERLOADED: ("provider_overloaded", True),
    ErrorClass.CIRCUIT_OPEN: ("provider_failing", True),
    ErrorClass.QUOTA_EXHAUSTED: ("provider_quota_exhausted", False),
    ErrorClass.KEY_MISSING: ("provider_key_missing", False),
    ErrorClass.BUDGET_UNKNOWN: ("budget_unknown", True),
    ErrorClass.UNPRICED: ("model_price_unknown", False),
}
_A_PERSON_MUST_ACT_S = 30.0
_CLIENTS_WAIT_S = 60.0  # a longer Retry-After is not honoured: they would ask at once, and again
_RATES = frozenset({ErrorClass.RATE_LIMITED, ErrorClass.LIMITED})
# the code of a request that is at fault, where the provider's own word for it is not given
_REQUEST_CODES = {
    ErrorClass.REFUSED: "provider_refused",
    ErrorClass.CONTEXT_TOO_LONG: "context_length_exceeded",
    ErrorClass.CONTENT_POLICY: "content_filter",
    ErrorClass.UNSUPPORTED: "unsupported_parameter",
}


def of_provider(exc: ProviderError) -> ApiError:
    """Return the client's view of a provider that did not answer."""
    if exc.error_class in _REQUEST_CODES:
        return _refused(exc)
    if _RATES & {exc.error_class, exc.after}:
        headers = {"retry-after": _seconds(exc.retry_after_s)}
        return ApiError(
            429, exc.message, "rate_limit_error", code="rate_limit_exceeded", headers=headers
        )
    if exc.error_class is ErrorClass.BUDGET_SPENT:
        return _of_budget(exc)
    if exc.error_class in _UNAVAILABLE:
        code, retry = _UNAVAILABLE[exc.error_class]
        after = exc.retry_after_s if retry else _A_PERSON_MUST_ACT_S
        return unavailable(exc.message, code, retry_after=_seconds(after), retry=retry)
    status, code = _OF_PROVIDER[exc.error_class]
    return ApiError(status, exc.message, SERVER, code=code)


def _of_budget(exc: ProviderError) -> ApiError:
    """Return OpenAI's word for an account without credit; its clients wait a minute at most."""
    headers = {"retry-after": _seconds(exc.retry_after_s)}
    if (exc.retry_after_s or 0.0) > _CLIENTS_WAIT_S:
        headers["x-should-retry"] = "false"
    quota = "insufficient_quota"
    return ApiError(429, exc.message, quota, code=quota, headers=headers)


def _seconds(retry_after_s: float | None) -> str:
    """Return whole seconds, at least one: what is asked again at once fails again."""
    return str(max(1, math.ceil(retry_after_s or 1.0)))


def _refused(exc: ProviderError) -> ApiError:
    detail: Json = exc.detail or {}

    def text(key: str) -> str | None:
        value = detail.get(key)
        return value if isinstance(value, str) else None

    return ApiError(
        400,
        text("message") or exc.message,
        text("type") or INVALID,
        param=text("param"),
        code=text("code") or _REQUEST_CODES[exc.error_class],
    )
