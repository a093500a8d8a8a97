"""What can be ordered from the simulator, and how a wrong order is explained."""

from typing import Any

import orjson
import pytest

from agent_runtime.problems import Invalid
from agent_runtime.simulator import faults
from agent_runtime.simulator.faults import Fault, Rule
from agent_runtime.simulator.rulebook import Facts, Rulebook

FACTS = Facts(path="/v1/chat/completions", model="gpt-small", key="abc", stream=False)


def rule(**fields: Any) -> Rule:
    return Rule.model_validate({"fault": {"kind": "hang"}, **fields})


def strikes(book: Rulebook, times: int, *, facts: Facts = FACTS, now: float = 0.0) -> list[bool]:
    return [book.strike(facts, now) is not None for _ in range(times)]


WRONG = [
    (b"{", "(whole body): is not valid JSON; see line 1"),
    (b"[]", '(whole body): is no object; write an object such as {"rules": []}'),
    (b'{"rule": []}', "rule: is not a field of the control document; remove it"),
    (b'{"rules": [{}]}', "rules[0].fault: is missing; add it"),
    (b'{"rules": [{"fault": {"kind": "status"}}]}', "rules[0].fault: lacks `status`; add"),
    (
        b'{"rules": [{"fault": {"kind": "hang", "status": 500}}]}',
        "rules[0].fault: has `status`, which kind hang does not know; remove it",
    ),
    (b'{"rules": [{"fault": {"kind": "latency"}}]}', "rules[0].fault: lacks a delay; add"),
    (
        b'{"rules": [{"fault": {"kind": "quota", "retryAfterDate": true}}]}',
        "rules[0].fault: has `retryAfterDate` alone; add `retryAfterSeconds`",
    ),
    (
        b'{"rules": [{"fault": {"kind": "hang"}, "match": {"every": 2, "share": 0.5}}]}',
        "rules[0].match: has both `every` and `share`; keep one of them",
    ),
    (
        b'{"rules": [{"fault": {"kind": "hang"}, "match": {"seed": 2}}]}',
        "rules[0].match: has a `seed` and no `share`; add `share` or remove `seed`",
    ),
    (
        b'{"rules": [{"fault": {"kind": "contentType", "contentType": "a\\nb: c"}}]}',
        "rules[0].fault.contentType: is no header value; write printable ASCII",
    ),
    (b'{"limits": {"requestsPerMinute": "60"}}', "limits.requestsPerMinute: must be a whole"),
]


@pytest.mark.parametrize(("body", "told"), WRONG)
def test_a_wrong_order_names_the_field_and_the_fix(body: bytes, told: str) -> None:
    with pytest.raises(Invalid) as caught:
        faults.parse_control(body)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("hang", {"kind": "hang"}),
        ("status; status=503;retryAfterSeconds=2", {
            "kind": "status", "status": 503, "retryAfterSeconds": 2,
        }),
        ("latency; firstSeconds=0.5", {"kind": "latency", "firstSeconds": 0.5}),
        ('{"kind": "errorBody", "body": {"a": 1}}', {"kind": "errorBody", "body": {"a": 1}}),
        ("contentType; contentType=text/plain", {
            "kind": "contentType", "contentType": "text/plain",
        }),
    ],
)  # fmt: skip
def test_a_header_orders_one_fault(text: str, fields: dict[str, Any]) -> None:
    assert faults.parse_directive(text) == Fault.model_validate(fields)


@pytest.mark.parametrize("text", ["explode", "status; status=x", "hang; for=ever", "{", "", "[]"])
def test_a_wrong_header_names_the_field(text: str) -> None:
    with pytest.raises(Invalid, match=r"^x-simulate"):
        faults.parse_directive(text)


def test_a_models_name_orders_a_fault_in_characters_that_a_resource_allows() -> None:
    ordered = faults.directive_in("gpt/simulate:status:status@503")
    assert ordered == "status;status=503"
    assert faults.directive_in("gpt-4o") is None


def test_every_nth_match_is_struck() -> None:
    book = Rulebook([rule(match={"every": 3})], now=0.0)
    assert strikes(book, 7) == [False, False, True, False, False, True, False]


def test_a_share_is_struck_the_same_way_each_time() -> None:
    def struck(seed: int) -> list[bool]:
        return strikes(Rulebook([rule(match={"share": 0.25, "seed": seed})], now=0.0), 400)

    assert struck(7) == struck(7) != struck(8)
    assert 70 <= sum(struck(7)) <= 130


def test_a_rule_heals_after_its_count() -> None:
    book = Rulebook([rule(count=2)], now=0.0)
    assert strikes(book, 4) == [True, True, False, False]
    assert book.state(0.0) == [{"matched": 2, "struck": 2, "healed": True}]


def test_a_rule_heals_after_its_seconds() -> None:
    book = Rulebook([rule(seconds=5)], now=100.0)
    assert strikes(book, 1, now=104.9) == [True]
    assert strikes(book, 1, now=105.0) == [False]


@pytest.mark.parametrize(
    ("match", "struck"),
    [
        ({}, True),
        ({"path": "/v1/*"}, True),
        ({"path": "/v1/messages"}, False),
        ({"model": "gpt-*"}, True),
        ({"model": "claude-*"}, False),
        ({"key": "abc"}, True),
        ({"key": "0a1"}, False),
        ({"stream": True}, False),
        ({"stream": False, "model": "gpt-small"}, True),
    ],
)
def test_a_rule_strikes_whom_it_matches(match: dict[str, Any], struck: bool) -> None:
    assert strikes(Rulebook([rule(match=match)], now=0.0), 1) == [struck]


def test_the_first_rule_that_strikes_decides() -> None:
    document = {
        "rules": [
            {"fault": {"kind": "reset"}, "match": {"model": "other"}},
            {"fault": {"kind": "trickle"}, "count": 1},
            {"fault": {"kind": "hang"}},
        ]
    }
    book = Rulebook(faults.parse_control(orjson.dumps(document)).rules, now=0.0)
    found = [book.strike(FACTS, 0.0) for _ in range(2)]
    assert [fault.kind for fault in found if fault] == ["trickle", "hang"]
