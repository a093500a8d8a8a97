"""An OTLP collector: a real HTTP server that reads by OpenTelemetry's own schema."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

KINDS = {1: "internal", 2: "server", 3: "client"}


@dataclass(frozen=True)
class Span:
    """A span as it arrived."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    start_ns: int
    end_ns: int
    failed: bool
    flags: int
    attributes: dict[str, Any]
    events: tuple[tuple[str, dict[str, Any]], ...]
    resource: dict[str, Any]


@dataclass
class Collector:
    """What has come so far."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    raw: bytes = b""
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """Statuses of the next answers; 200 when there are none."""
    rejected: int = 0
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, count: int, seconds: float = 20.0) -> list[Span]:
        """Return the spans once there are so many."""
        async with asyncio.timeout(seconds):
            while len(self.spans) < count:
                self._came.clear()
                await self._came.wait()
        return self.spans

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        assert request.path.endswith("/v1/traces"), request.path
        assert request.content_type == "application/x-protobuf"
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.answers and (status := self.answers.pop(0)) != 200:
            return web.Response(status=status)
        self.raw += body
        self.spans += decoded(body)
        self._came.set()
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = self.rejected
        return web.Response(body=answer.SerializeToString() if self.rejected else b"")


def decoded(body: bytes) -> Iterable[Span]:
    """Yield the spans of a request."""
    message = ExportTraceServiceRequest.FromString(body)
    assert message.SerializeToString(deterministic=True), "nothing was sent"
    for group in message.resource_spans:
        resource = _values(group.resource.attributes)
        for scope in group.scope_spans:
            assert scope.scope.name == "agentsystem"
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    kind=KINDS[span.kind],
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    state=span.trace_state,
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    failed=span.status.code == 2,
                    flags=span.flags,
                    attributes=_values(span.attributes),
                    events=tuple((e.name, _values(e.attributes)) for e in span.events),
                    resource=resource,
                )


def _values(attributes: Iterable[Any]) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)


@asynccontextmanager
async def collecting(port: int = 0) -> AsyncIterator[Collector]:
    """Collect in this process, on a loopback port."""
    found = Collector()
    app = web.Application(client_max_size=16 << 20)
    app.router.add_post("/{path:.*}", found.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        port = runner.addresses[0][1]
        found.url = f"http://127.0.0.1:{port}"
        yield found
    finally:
        await runner.cleanup()


def exporting(document: dict[str, Any], endpoint: str, **more: Any) -> dict[str, Any]:
    """Return a config that sends its traces somewhere."""
    otlp = {"endpoint": endpoint, **more}
    return document | {"contract": "v1.1", "monitoring": {"otlp": otlp}}
