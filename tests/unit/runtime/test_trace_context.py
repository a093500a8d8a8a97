"""W3C trace context and request ids: what comes from outside is exact, or counts as absent."""

import random
import uuid

import pytest

from agent_runtime.app.arrival import Arrivals
from agent_runtime.app.asgi import Headers, Message, Request
from agent_runtime.guard.pii.detector import Detector
from agent_runtime.guard.pii.kinds import LABELS, Kind, Policy, Rule
from agent_runtime.observability.tracing import context
from agent_runtime.observability.tracing.context import Parent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (GOOD, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),  # another flag of a later level
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
    ],
)
def test_a_parent_is_read(text: str, *, sampled: bool) -> None:
    assert context.parse(text, None) == Parent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        GOOD.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"{GOOD},{GOOD}",  # the header was there twice
        f" {GOOD}",
        f"{GOOD}\n",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 1000}",
    ],
)
def test_what_is_no_parent_counts_as_none(text: str) -> None:
    assert context.parse(text, "a=1") is None


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ("a=1 , \t b=2", "a=1,b=2"),
        ("tenant@vendor=x", "tenant@vendor=x"),
        ("a=1,a=2", ""),  # twice
        ("A=1", ""),
        ("a", ""),
        ("a=\u00e9", ""),
        ("a=1\r\nx-evil: 1", ""),
        ("a=" + "x" * 600, ""),
        (",".join(f"k{n}=1" for n in range(33)), ""),
        (None, ""),
    ],
)
def test_a_state_is_kept_whole_or_not_at_all(state: str | None, kept: str) -> None:
    parent = context.parse(GOOD, state)
    assert parent is not None
    assert parent.state == kept


def test_a_ratio_chooses_so_many_and_the_same_everywhere() -> None:
    random.seed(7)
    ids = [context.new_trace_id() for _ in range(10_000)]
    chosen = {
        share: {each for each in ids if context.is_chosen(each, share)} for share in (0.1, 0.5)
    }
    assert 900 < len(chosen[0.1]) < 1100
    assert chosen[0.1] < chosen[0.5]
    assert all(context.is_chosen(each, 1.0) for each in ids)
    assert not any(context.is_chosen(each, 0.0) for each in ids)
    assert context.is_chosen("f" * 32, 0.000001)


def request(*headers: tuple[str, str]) -> Request:
    async def receive() -> Message:
        raise AssertionError

    found: Headers = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"method": "POST", "path": "/v1/chat/completions", "headers": found}
    return Request(scope, receive)


def arrived(*headers: tuple[str, str], arrivals: Arrivals | None = None) -> tuple[str, bool]:
    """Return the request's id, and whether it is ours."""
    asked = request(*headers)
    here = (arrivals or Arrivals()).of(asked, "/v1/chat/completions", lambda: "chatcmpl-1234")
    assert here.request_id == asked.id
    return asked.id, asked.id_is_ours


@pytest.mark.parametrize(
    "given",
    ["a", "x" * 128, "550e8400-e29b-41d4-a716-446655440000", "1-67891233-ab/c+d=", "a:b~c.d"],
)
def test_a_caller_s_id_is_kept(given: str) -> None:
    assert arrived(("x-request-id", given)) == (given, False)


@pytest.mark.parametrize(
    "given",
    ["", "x" * 129, "a b", "a\tb", "a\nb", "\u00e9", "a,b", "<script>", "bob@example.com", '"'],
)
def test_what_is_no_id_is_replaced(given: str) -> None:
    assert arrived(("x-request-id", given)) == ("chatcmpl-1234", True)


def test_two_ids_are_none() -> None:
    assert arrived(("x-request-id", "a"), ("x-request-id", "b")) == ("chatcmpl-1234", True)


def test_a_sibling_s_id_of_our_form_is_the_answer_s_id_too() -> None:
    hop = ("x-agentsystem-hop", "1")
    assert arrived(("x-request-id", "chatcmpl-9876"), hop) == ("chatcmpl-9876", True)
    assert arrived(("x-request-id", "my-own-id"), hop) == ("my-own-id", False)
    assert arrived(("x-request-id", "chatcmpl-9876")) == ("chatcmpl-9876", False)


def private() -> Arrivals:
    detector = Detector({kind: Rule(kind.value, LABELS[kind], Policy.MASK) for kind in Kind})
    return Arrivals(None, lambda text: any(detector.hits(text.encode())))


def test_an_id_that_is_a_person_s_is_replaced_and_such_a_state_is_dropped() -> None:
    assert arrived(("x-request-id", "13800138000"), arrivals=private()) == ("chatcmpl-1234", True)
    asked = request(("traceparent", GOOD), ("tracestate", "phone=13800138000"))
    here = private().of(asked, "", lambda: "req_1")
    assert (here.trace_id, here.state) == (TRACE, "")


def test_usual_ids_are_nobody_s_data() -> None:
    random.seed(7)
    ids = [str(uuid.UUID(int=random.getrandbits(128), version=4)) for _ in range(3000)]
    ids += [uuid.UUID(int=random.getrandbits(128)).hex for _ in range(3000)]
    arrivals = private()
    replaced = [each for each in ids if arrived(("x-request-id", each), arrivals=arrivals)[1]]
    assert len(replaced) <= len(ids) // 1000, replaced
