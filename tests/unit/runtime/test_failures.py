"""Every failure is classed once, from status, body and headers."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from agent_runtime.providers import failures
from agent_runtime.providers.base import ErrorClass, Json

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)


def test_the_table_has_every_class() -> None:
    assert set(failures.CONDUCT) == set(ErrorClass)


@pytest.mark.parametrize(
    ("status", "error", "want"),
    [
        (429, None, ErrorClass.RATE_LIMITED),
        (429, {"type": "insufficient_quota", "code": None}, ErrorClass.QUOTA_EXHAUSTED),
        (429, {"message": "You exceeded your current quota"}, ErrorClass.QUOTA_EXHAUSTED),
        (402, None, ErrorClass.QUOTA_EXHAUSTED),
        (400, {"type": "invalid_request_error"}, ErrorClass.REFUSED),
        (400, {"message": "prompt is too long: 9 tokens"}, ErrorClass.CONTEXT_TOO_LONG),
        (400, {"code": "content_policy_violation"}, ErrorClass.CONTENT_POLICY),
        (401, {"type": "authentication_error"}, ErrorClass.AUTH),
        (404, {"message": "no such model"}, ErrorClass.BAD_ANSWER),
        (500, {"message": "maximum context length"}, ErrorClass.SERVER_ERROR),
        (500, {"type": "rate_limit_error"}, ErrorClass.RATE_LIMITED),
        (502, None, ErrorClass.SERVER_ERROR),
        (529, None, ErrorClass.OVERLOADED),
        (200, {"message": "something"}, ErrorClass.SERVER_ERROR),
        (200, {"code": 7, "type": [], "message": {}}, ErrorClass.SERVER_ERROR),
        (302, None, ErrorClass.BAD_ANSWER),
    ],
)
def test_an_answer_that_is_none_has_a_class(
    status: int, error: Json | None, want: ErrorClass
) -> None:
    assert failures.class_of(status, error) is want


@pytest.mark.parametrize(
    ("body", "want"),
    [
        ({"error": {"message": "no"}}, {"message": "no"}),
        ({"type": "error", "error": {"type": "api_error"}}, {"type": "api_error"}),
        ({"error": "no"}, {"message": "no"}),
        ({"error": None}, None),
        ({"error": ""}, None),
        ({"choices": []}, None),
        (["error"], None),
        ("error", None),
    ],
)
def test_an_error_object_is_found_in_either_shape(body: object, want: Json | None) -> None:
    assert failures.error_in(body) == want


LATER = format_datetime(NOW + timedelta(seconds=90), usegmt=True)
EARLIER = format_datetime(NOW - timedelta(seconds=90), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "want"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": LATER}, 90.0),
        ({"retry-after": EARLIER}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 12}, failures.RETRY_AFTER_MAX_S),
        ({"retry-after": "7", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "7", "retry-after-ms": "x"}, 7.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], want: float | None) -> None:
    assert failures.retry_after_s(headers, NOW) == want
