"""The exporter against an endpoint that is told what to answer, in virtual time where it waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from prometheus_client import CollectorRegistry

from agent_runtime.observability.trace_metrics import TraceMetrics
from agent_runtime.observability.tracing import exporter, here, protobuf
from agent_runtime.observability.tracing.exporter import Exporter
from agent_runtime.observability.tracing.headers import parse
from agent_runtime.observability.tracing.here import Here
from agent_runtime.observability.tracing.spans import (
    SpanKind,
    Title,
    Tracer,
    Within,
    begun,
    kind_of,
)
from agent_runtime.providers.base import ErrorClass, ProviderError
from tests.contract.runtime.collector import Span, decoded
from tests.fakes import virtual_time


class Answer:
    """What an endpoint answers, without a socket."""

    def __init__(self, status: int, retry_after: str = "") -> None:
        self.status = status
        self.headers = {"retry-after": retry_after}
        self.content = self

    async def read(self, _most: int) -> bytes:
        return b""

    async def __aenter__(self) -> Answer:
        if self.status == 0:
            raise aiohttp.ClientConnectionError
        return self

    async def __aexit__(self, *_exc: object) -> None:
        pass


class Endpoint:
    """Stands for the client's session."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []
        self.at: list[float] = []

    def post(self, _url: str, *, data: bytes, **_more: Any) -> Answer:
        self.bodies.append(data)
        self.at.append(asyncio.get_running_loop().time())
        return self.answers.pop(0) if self.answers else Answer(200)


class Sent:
    """An exporter and what became of it."""

    def __init__(self, *answers: Answer) -> None:
        self.registry = CollectorRegistry()
        self.endpoint = Endpoint(*answers)
        http: Any = self.endpoint
        self.began = 0.0
        self.exporter = Exporter("http://x/v1/traces", {}, http, TraceMetrics(self.registry))

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"agent_trace_spans_{name}_total", labels) or 0.0


SPAN = protobuf.span(
    trace_id="1" * 32, span_id="2" * 16, parent_id="", parent_is_remote=False, state="",
    name=protobuf.name("x"), kind=1, start_ns=1, end_ns=2, fixed=b"", values={}, events=b"",
    failed=False,
)  # fmt: skip


async def _ends(sent: Sent, after_s: float) -> None:
    sent.began = asyncio.get_running_loop().time()
    async with exporter.running(sent.exporter):
        for _ in range(3):
            sent.exporter.offer(SPAN)
        await asyncio.sleep(after_s)


def test_spans_wait_for_others_no_longer_than_a_second() -> None:
    sent = Sent()
    virtual_time.run(_ends(sent, 2.0))
    assert len(list(decoded(sent.endpoint.bodies[0]))) == 3
    assert (sent.endpoint.at, sent.count("exported")) == ([sent.began + 1.0], 3)


def test_a_batch_is_tried_again_after_what_may_pass() -> None:
    sent = Sent(Answer(503), Answer(0), Answer(429, "7"), Answer(200))
    virtual_time.run(_ends(sent, 60.0))
    assert len(set(sent.endpoint.bodies)) == 1
    assert len(sent.endpoint.bodies) == 4
    assert sent.endpoint.at[3] - sent.endpoint.at[2] == 7.0
    assert (sent.count("exported"), sent.count("dropped", reason="unreachable")) == (3, 0)


def test_it_is_given_up_after_five_times_and_the_next_one_is_sent() -> None:
    sent = Sent(*[Answer(503)] * exporter.ATTEMPTS)

    async def scenario() -> None:
        async with exporter.running(sent.exporter):
            sent.exporter.offer(SPAN)
            await asyncio.sleep(60)
            sent.exporter.offer(SPAN)
            await asyncio.sleep(2)

    virtual_time.run(scenario())
    assert (sent.count("dropped", reason="unreachable"), sent.count("exported")) == (1, 1)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 500])
def test_what_is_refused_is_not_sent_again(status: int) -> None:
    sent = Sent(Answer(status))
    virtual_time.run(_ends(sent, 60.0))
    assert len(sent.endpoint.bodies) == 1
    assert sent.count("dropped", reason="refused") == 3


def test_memory_is_bounded_and_what_has_no_room_is_counted() -> None:
    sent = Sent(*[Answer(503)] * 100)
    large = protobuf.event("x" * 100_000, 1, {})

    async def scenario() -> None:
        async with exporter.running(sent.exporter):
            for _ in range(200):
                sent.exporter.offer(large)
            await asyncio.sleep(0)

    virtual_time.run(scenario())
    kept = exporter.MAX_WAITING_BYTES // len(large)
    assert sent.count("dropped", reason="no_room") == 200 - kept
    assert sent.count("dropped", reason="shutdown") == kept  # one try each, and no pause at the end


def test_the_end_waits_for_no_pause_and_no_answer() -> None:
    sent = Sent(Answer(503, "30"), Answer(503))
    ended = []

    async def scenario() -> None:
        await _ends(sent, 5.0)
        ended.append(asyncio.get_running_loop().time() - sent.began)

    virtual_time.run(scenario())
    assert ended == [5.0]
    assert sent.count("dropped", reason="shutdown") == 3


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "x-api-key: k1\nLangsmith-Project: shop\n",
            {"x-api-key": "k1", "langsmith-project": "shop"},
        ),
        ("  authorization:Basic a=b  \r\n\r\n", {"authorization": "Basic a=b"}),
        ("", None),
        ("no header", None),
        ("a: 1\nbroken", None),
        ("a: \u00e9", None),
        ("\n".join(f"h{n}: 1" for n in range(21)), None),
        ("a: 1\na: 2", None),
    ],
)
def test_headers_are_lines_or_none_at_all(text: str, found: dict[str, str] | None) -> None:
    assert parse(text) == found


class Sink:
    def __init__(self) -> None:
        self.spans: list[bytes] = []

    def offer(self, span: bytes) -> None:
        self.spans.append(span)

    def arrived(self) -> list[Span]:
        """Return the spans as a collector reads them."""
        scope = protobuf.scope("agentsystem")
        return list(decoded(protobuf.request(protobuf.resource({}), scope, self.spans)))


@asynccontextmanager
async def recorded() -> AsyncIterator[Sink]:
    """Be in a request that is recorded."""
    sink = Sink()
    tracer = Tracer(sink, ratio=1.0)
    place = tracer.arrived(lambda: Title("POST", SpanKind.SERVER, {}), "req_1", None)
    token = here.enter(place)
    try:
        yield sink
    finally:
        here.leave(token)


async def test_values_of_each_kind_arrive_as_they_were() -> None:
    values: dict[str, protobuf.Value] = {
        "text": "\u4f60\u597d", "yes": True, "no": False, "zero": 0, "big": 2**63 - 1,
        "below": -5, "part": 0.25, "many": ["a", "b"], "long": "x" * 70_000,
    }  # fmt: skip
    async with recorded() as sink:
        with Within(Title("work", SpanKind.INTERNAL, {"fixed": "f"})) as span:
            assert span is not None
            span.values |= values
            span.told("said", {"n": 1})
    (found,) = sink.arrived()
    assert found.attributes == {"fixed": "f", **values}
    assert found.events == (("said", {"n": 1}),)


async def test_a_block_that_fails_ends_its_span_with_the_kind_of_error_and_leaves_it() -> None:
    async with recorded() as sink:
        before = here.current()
        with pytest.raises(ProviderError), Within(Title("work", SpanKind.CLIENT, {})):
            raise ProviderError(ErrorClass.TIMEOUT, "p", "secret words")
        assert here.current() is before
    (found,) = sink.arrived()
    assert (found.failed, found.attributes) == (True, {"error.type": "timeout"})
    assert b"secret words" not in sink.spans[0]


def test_nothing_is_recorded_outside_of_requests_and_where_none_is_sampled() -> None:
    assert begun(Title("work", SpanKind.CLIENT, {})) is None
    token = here.enter(Here("req_1", "1" * 32, "2" * 16))
    try:
        assert begun(Title("work", SpanKind.CLIENT, {})) is None
        assert here.trace_headers() == {"traceparent": f"00-{'1' * 32}-{'2' * 16}-00"}
    finally:
        here.leave(token)


def test_the_kind_of_an_error_is_a_word() -> None:
    kinds = [
        kind_of(exc) for exc in (KeyError("secret"), asyncio.CancelledError(), GeneratorExit())
    ]
    assert kinds == ["KeyError", "cancelled", "cancelled"]


def test_what_an_endpoint_rejects_is_read_and_nonsense_is_nothing() -> None:
    answer = ExportTraceServiceResponse()
    assert protobuf.rejected(answer.SerializeToString()) == 0
    answer.partial_success.rejected_spans = 300
    answer.partial_success.error_message = "too old"
    assert protobuf.rejected(answer.SerializeToString()) == 300
    for nonsense in (b"<html>", b"\xff" * 40, b"\x0a\xff", b"\x0a"):
        assert protobuf.rejected(nonsense) == 0


def test_an_empty_request_is_one() -> None:
    body = protobuf.request(protobuf.resource({"a": "b"}), protobuf.scope("s"), [])
    (group,) = ExportTraceServiceRequest.FromString(body).resource_spans
    assert group.scope_spans[0].scope.name == "s"
