"""Why a request is not let in: a closed set, in the words that clients and metrics see."""

from collections.abc import Mapping
from enum import StrEnum


class Refusal(StrEnum):
    """The error's code, and the label of `agent_guard_refusals_total`."""

    NO_CREDENTIALS = "missing_credentials"  # nothing says who asks
    BAD_KEY = "invalid_api_key"  # no entry of the keys' file fits
    BAD_TOKEN = "invalid_token"  # noqa: S105  # no token, not signed by whom we trust, or not for us
    EXPIRED = "token_expired"  # it was valid, or will be
    ROLE = "role_required"  # known, and not allowed to do this
    SIBLING = "sibling_not_proved"  # says it passes a request on, and is no pod of this system
    UNAVAILABLE = "authentication_unavailable"  # what credentials are held against is not there


class NotAdmitted(Exception):  # the condition is the name
    """A request is not let in; the client has to change something, or come again later."""

    def __init__(
        self,
        refusal: Refusal,
        message: str,
        *,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.message = message
        self.retry_after_s = retry_after_s
        self.headers = dict(headers or {})
