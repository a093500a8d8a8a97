"""What each fault makes of a good answer, byte by byte."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

from agent_runtime.simulator import delivery
from agent_runtime.simulator.counts import Counts
from agent_runtime.simulator.delivery import Delivery, End
from agent_runtime.simulator.exchange import Stream, Usage
from agent_runtime.simulator.faults import Fault
from agent_runtime.simulator.simulation import ANTHROPIC, OPENAI

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
BODY = b'{"good": 1}'


def plain() -> Delivery:
    ticket = Counts().begin("/p", "m", "k")
    return delivery.whole(200, BODY, ticket=ticket, usage=Usage(4, 3))


def stream() -> Delivery:
    events = Stream(b"open ", (b"1 ", b"2 ", b"3 "), b"close")
    return delivery.streamed(events, ticket=Counts().begin("/p", "m", "k"), usage=Usage(4, 3))


def distorted(good: Delivery, kind: str, **fields: Any) -> Delivery:
    fault = Fault.model_validate({"kind": kind, **fields})
    return delivery.distort(good, fault, OPENAI, NOW)


def content(found: Delivery, limit: int = 20) -> bytes:
    return found.opening + b"".join(islice(found.pieces, limit)) + found.closing


def test_a_latency_delays_and_bills_as_usual() -> None:
    found = distorted(stream(), "latency", firstSeconds=2, perChunkSeconds=0.5)
    assert (found.first_s, found.piece_s, found.usage) == (2.0, 0.5, Usage(4, 3))
    assert content(found) == b"open 1 2 3 close"


def test_a_plain_answer_takes_as_long_as_the_stream_of_its_tokens() -> None:
    found = distorted(plain(), "latency", firstSeconds=2, perChunkSeconds=0.5)
    assert (found.first_s, found.piece_s, content(found)) == (3.5, 0.0, BODY)


@pytest.mark.parametrize("good", [plain, stream])
@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({}, []),
        ({"retryAfterSeconds": 90}, [(b"retry-after", b"90")]),
        ({"retryAfterSeconds": 90, "retryAfterDate": True}, [
            (b"retry-after", b"Fri, 01 May 2026 12:01:30 GMT"),
        ]),
    ],
)  # fmt: skip
def test_a_status_comes_with_the_retry_after_that_was_ordered(
    good: Any, fields: dict[str, Any], headers: list[tuple[bytes, bytes]]
) -> None:
    found = distorted(good(), "status", status=429, **fields)
    assert (found.status, found.headers, found.usage) == (429, headers, None)
    assert found.opening == OPENAI.error(429)
    assert (found.length, found.broken) == (len(found.opening), False)


def test_a_statuss_body_is_sent_as_it_was_ordered() -> None:
    text = distorted(plain(), "status", status=502, body="<h1>Bad</h1>")
    document = distorted(plain(), "status", status=400, body={"error": "x"})
    assert (text.opening, text.content_type) == (b"<h1>Bad</h1>", b"text/html")
    assert (document.opening, document.content_type) == (b'{"error":"x"}', b"application/json")


def test_quota_is_told_in_each_protocols_words() -> None:
    fault = Fault.model_validate({"kind": "quota"})
    payment = Fault.model_validate({"kind": "quota", "status": 402})
    openai = delivery.distort(plain(), fault, OPENAI, NOW)
    anthropic = delivery.distort(plain(), fault, ANTHROPIC, NOW)
    assert (openai.status, b'"code":"insufficient_quota"' in openai.opening) == (429, True)
    assert (anthropic.status, b"credit balance is too low" in anthropic.opening) == (400, True)
    assert delivery.distort(plain(), payment, OPENAI, NOW).status == 402
    assert b"billing_error" in delivery.distort(plain(), payment, ANTHROPIC, NOW).opening


CUTS: list[tuple[Any, str, dict[str, Any], bytes, End, bool]] = [
    # good, kind, fields, what is sent, how it ends, whether headers are sent
    (plain, "hang", {}, b"", End.HANG, False),
    (plain, "hang", {"afterChunks": 0}, b"", End.HANG, True),
    (plain, "hang", {"afterChunks": 1}, b'{"goo', End.HANG, True),
    (plain, "reset", {}, b"", End.RESET, False),
    (plain, "reset", {"afterChunks": 1}, b'{"goo', End.RESET, True),
    (plain, "truncate", {}, b'{"goo', End.CLOSE, True),
    (plain, "malformed", {}, b'{"goo', End.COMPLETE, True),
    (plain, "errorBody", {"body": "no"}, b"no", End.COMPLETE, True),
    (stream, "hang", {}, b"", End.HANG, False),
    (stream, "hang", {"afterChunks": 0}, b"open ", End.HANG, True),
    (stream, "hang", {"afterChunks": 2}, b"open 1 2 ", End.HANG, True),
    (stream, "reset", {"afterChunks": 1}, b"open 1 ", End.RESET, True),
    (stream, "reset", {"afterChunks": 99}, b"open 1 2 3 ", End.RESET, True),
    (stream, "truncate", {}, b"open 1 ", End.COMPLETE, True),
    (stream, "truncate", {"afterChunks": 3}, b"open 1 2 3 ", End.COMPLETE, True),
    (stream, "errorBody", {"body": "no"}, b"data: no\n\n", End.COMPLETE, True),
    (stream, "errorBody", {"body": "no", "afterChunks": 1}, b"open 1 data: no\n\n",
     End.COMPLETE, True),
    (stream, "malformed", {"afterChunks": 2}, b"open 1 2 " + OPENAI.half_event() + b"3 close",
     End.COMPLETE, True),
]  # fmt: skip


@pytest.mark.parametrize(("good", "kind", "fields", "sent", "end", "head"), CUTS)
def test_a_spoilt_answer_is_cut_where_it_was_ordered(
    good: Any,
    kind: str,
    fields: dict[str, Any],
    sent: bytes,
    end: End,
    head: bool,
) -> None:
    found = distorted(good(), kind, **fields)
    assert (content(found), found.end, found.send_head) == (sent, end, head)
    assert (found.usage, found.broken) == (None, True)


def test_a_truncated_or_broken_plain_answer_announces_all_of_it() -> None:
    assert distorted(plain(), "truncate").length == len(BODY)
    assert distorted(plain(), "reset", afterChunks=1).length == len(BODY)
    assert distorted(plain(), "malformed").length == 5


def test_a_trickle_never_ends() -> None:
    streamed = distorted(stream(), "trickle")
    whole = distorted(plain(), "trickle", perChunkSeconds=0.1)
    assert content(streamed, limit=5) == b"open 1 2 3 1 2 "
    assert (content(whole, limit=3), whole.length) == (b"   ", None)
    assert (streamed.piece_s, whole.piece_s, whole.first_s) == (1.0, 0.1, 0.0)


def test_slow_headers_delay_each_of_their_bytes_and_nothing_else() -> None:
    good = plain()
    assert distorted(good, "slowHeaders", perByteSeconds=0.1) == replace(good, head_byte_s=0.1)


def test_a_wrong_content_type_carries_a_page_or_the_right_answer() -> None:
    page = distorted(stream(), "contentType")
    right = distorted(plain(), "contentType", contentType="text/plain")
    assert (page.content_type, b"<html>" in content(page)) == (b"text/html", True)
    assert page.length == len(content(page))
    assert (right.content_type, content(right)) == (b"text/plain", BODY)


def test_only_a_whole_immediate_answer_is_written_at_once() -> None:
    assert plain().is_quick
    assert not stream().is_quick
    assert not distorted(plain(), "latency", firstSeconds=1).is_quick
    assert not distorted(plain(), "truncate").is_quick
