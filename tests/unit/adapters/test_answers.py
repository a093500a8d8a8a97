"""Bad answers become few errors, and refusals never echo a value (I15)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsystem_operator import ports
from agentsystem_operator.adapters import answers


def error(status: int, body: Any = None, **headers: str) -> ports.ClusterError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answers.error_of(status, named, orjson.dumps(body or {}))


@dataclass(frozen=True)
class Case:
    id: str
    status: int
    want: type[ports.ClusterError]
    body: Any = None


CASES = [
    Case("overload", 429, ports.ClusterUnreachable),
    Case("internal", 500, ports.ClusterUnreachable),
    Case("unavailable", 503, ports.ClusterUnreachable),
    Case("conflict", 409, ports.ConflictLost),
    Case("missing", 404, ports.Gone),
    Case("expired", 410, ports.Gone),
    Case("bad", 400, ports.Refused),
    Case("forbidden", 403, ports.Refused),
    Case("invalid", 422, ports.Refused),
    Case("unauthorized", 401, ports.ClusterUnreachable),
    Case(
        "webhook of others",
        500,
        ports.Refused,
        {
            "reason": "InternalError",
            "message": 'Internal error occurred: failed calling webhook "x.example.com": refused',
            "details": {"causes": [{"message": 'failed calling webhook "x.example.com": refused'}]},
        },
    ),
    Case(
        "larger than the store takes",
        500,
        ports.Refused,
        {"message": "etcdserver: request is too large"},
    ),
    Case(
        "larger than can be sent to the store",
        500,
        ports.Refused,
        {
            "message": "rpc error: code = ResourceExhausted desc = trying to send message larger"
            " than max (3000426 vs. 2097152)"
        },
    ),
    Case(
        "store without a leader",
        500,
        ports.ClusterUnreachable,
        {"message": "etcdserver: leader changed"},
    ),
    Case(
        "another uid",
        422,
        ports.ConflictLost,
        {"details": {"causes": [{"field": "metadata.uid", "message": "immutable"}]}},
    ),
    Case(
        "namespace on its way out",
        403,
        ports.Gone,
        {"details": {"causes": [{"reason": "NamespaceTerminating", "message": "x"}]}},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_each_answer_means_one_thing(case: Case) -> None:
    assert type(error(case.status, case.body)) is case.want


@pytest.mark.parametrize(
    ("headers", "body", "want"),
    [
        ({"Retry_After": "7"}, {}, 7.0),
        ({}, {"details": {"retryAfterSeconds": 3}}, 3.0),
        ({"Retry_After": "86400"}, {}, answers.RETRY_AFTER_MAX_S),
        ({"Retry_After": "Fri, 20 Nov 2026"}, {}, None),
        ({}, {}, None),
    ],
)
def test_retry_after_is_taken_from_wherever_it_stands(
    headers: dict[str, str], body: Any, want: float | None
) -> None:
    found = error(429, body, **headers)
    assert isinstance(found, ports.ClusterUnreachable)
    assert found.retry_after_s == want


def invalid(*messages: str) -> str:
    causes = [{"field": "spec.x", "message": message} for message in messages]
    return str(error(422, {"message": "all of it", "details": {"causes": causes}}))


@pytest.mark.parametrize(
    ("message", "want"),
    [
        ('Invalid value: "sk-1": must be a name', "spec.x: Invalid value: must be a name"),
        ("Invalid value: 5: must be more", "spec.x: Invalid value: must be more"),
        ('Invalid value: {"a":"}: b"}: bad', "spec.x: Invalid value: bad"),
        ("Required value: name it", "spec.x: Required value: name it"),
        (
            'Unsupported value: "sk-1": supported values: "A", "B"',
            'spec.x: Unsupported value: supported values: "…", "…"',
        ),
        ('Duplicate value: "sk-1"', "spec.x: Duplicate value: "),
        ('field "sk-1" is immutable', 'spec.x: field "…" is immutable'),
    ],
)
def test_a_refusal_names_field_and_rule_without_the_value(message: str, want: str) -> None:
    assert invalid(message) == want


@given(secret=st.from_regex(r"sk-[0-9a-f]{12}", fullmatch=True), around=st.text(max_size=20))
def test_no_quoted_value_survives(secret: str, around: str) -> None:
    quoted = orjson.dumps(f"{around}{secret}{around}").decode()
    for text in (
        f"Invalid value: {quoted}: must be {quoted}",
        f"Too long: {quoted}",
        f"x {quoted}",
    ):
        assert secret not in invalid(text)
    assert secret not in str(error(400, {"message": f"cannot decode {quoted}: bad"}))


def test_who_may_not_do_what_stays_readable() -> None:
    text = 'pods "x" is forbidden: User "me" cannot create resource "pods"'
    assert str(error(403, {"message": text})) == text


def test_a_refusal_is_short() -> None:
    assert len(invalid(*["is wrong " * 20] * 20)) == answers.TEXT_MAX


def test_an_answer_that_is_no_json_is_still_an_answer() -> None:
    found = answers.error_of(502, {}, b"<html>bad gateway</html>")
    assert isinstance(found, ports.ClusterUnreachable)
