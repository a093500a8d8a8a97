"""Recording spans: they begin where we are, and end with what became of it.

A span of a request that is not sampled is never made. Errors are told by their kind only; what an
exception says may quote a request.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextvars import Token
from enum import IntEnum
from types import TracebackType
from typing import Protocol

from agent_runtime.observability.tracing import context, here, protobuf
from agent_runtime.observability.tracing.context import Parent
from agent_runtime.observability.tracing.here import Here
from agent_runtime.observability.tracing.protobuf import SPAN_ATTRIBUTES, Value

_KIND_LENGTH = 64
"""Characters of an error's kind; ours are shorter."""


class SpanKind(IntEnum):
    """OTLP's numbers."""

    INTERNAL = 1
    """Work of our own."""
    SERVER = 2
    """A request that we answer."""
    CLIENT = 3
    """A request that we make."""


class Title:
    """What all spans of one sort have in common, written once."""

    __slots__ = ("fixed", "kind", "name")

    def __init__(self, name: str, kind: SpanKind, values: Mapping[str, Value]) -> None:
        self.name = protobuf.name(name)
        self.kind = kind
        self.fixed = protobuf.attributes(SPAN_ATTRIBUTES, values)


class Sink(Protocol):
    """Takes spans that have ended, written."""

    def offer(self, span: bytes) -> None:
        """Keep a span until it is sent, or drop and count it; never waits."""
        ...


class Span:
    """One span that is being recorded."""

    __slots__ = (
        "_began", "_is_remote", "_parent_id", "_start_ns", "_title", "_tracer", "events", "failed",
        "here", "values",
    )  # fmt: skip

    def __init__(
        self, title: Title, tracer: "Tracer", place: Here, parent_id: str, *, remote: bool = False
    ) -> None:
        """`place` is where it begins, `parent_id` its caller's span, which may be `remote`."""
        self._title = title
        self._tracer = tracer
        self._parent_id = parent_id
        self._start_ns = time.time_ns()
        self._began = time.perf_counter_ns()  # the clock on the wall may be put back
        self._is_remote = remote
        self.values: dict[str, Value] = {}
        self.events: list[bytes] = []
        self.failed = False
        self.here = Here(
            place.request_id,
            place.trace_id,
            context.new_span_id(),
            sampled=True,
            state=place.state,
            span=self,
            tracer=tracer,
        )

    def fail(self, kind: str) -> None:
        """Say that it ended in an error, and in which."""
        self.failed = True
        self.values["error.type"] = kind[:_KIND_LENGTH]

    def told(self, event: str, values: Mapping[str, Value]) -> None:
        """Add an event that happens now."""
        self.events.append(protobuf.event(event, self._now(), values))

    @property
    def captures_content(self) -> bool:
        """Whether messages may be told."""
        return self._tracer.captures_content

    def end(self) -> None:
        """Hand the span over."""
        place, title = self.here, self._title
        self._tracer.sink.offer(
            protobuf.span(
                trace_id=place.trace_id,
                span_id=place.span_id,
                parent_id=self._parent_id,
                parent_is_remote=self._is_remote,
                state=place.state,
                name=title.name,
                kind=title.kind,
                start_ns=self._start_ns,
                end_ns=self._now(),
                fixed=title.fixed,
                values=self.values,
                events=b"".join(self.events),
                failed=self.failed,
            )
        )

    def _now(self) -> int:
        return self._start_ns + time.perf_counter_ns() - self._began


class Tracer:
    """Begins the spans of requests."""

    def __init__(self, sink: Sink, *, ratio: float, captures_content: bool = False) -> None:
        """`ratio` of the requests whose callers do not trace them are recorded."""
        self.sink = sink
        self.captures_content = captures_content
        self._ratio = ratio

    def arrived(self, title: Callable[[], Title], request_id: str, parent: Parent | None) -> Here:
        """Return where a request is that has just come; its span is recorded if it is sampled.

        The caller's decision counts: whoever records a trace wants the whole of it.
        """
        if parent is not None:
            trace_id, sampled, state = parent.trace_id, parent.sampled, parent.state
        else:
            trace_id, state = context.new_trace_id(), ""
            sampled = context.is_chosen(trace_id, self._ratio)
        if not sampled:
            return Here(request_id, trace_id, context.new_span_id(), state=state)
        place = Here(request_id, trace_id, state=state)
        parent_id = parent.span_id if parent is not None else ""
        return Span(title(), self, place, parent_id, remote=parent is not None).here


class Within:
    """A span around a block; `with` gives None where nothing is recorded."""

    __slots__ = ("_span", "_title", "_token")

    def __init__(self, title: Title) -> None:
        self._title = title
        self._span: Span | None = None
        self._token: Token[Here | None] | None = None

    def __enter__(self) -> Span | None:
        """Begin the span and be in it."""
        self._span = begun(self._title)
        if self._span is not None:
            self._token = here.enter(self._span.here)
        return self._span

    def __exit__(
        self, _type: object, exc: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """End the span, as failed if the block was left by an error."""
        if self._span is None or self._token is None:
            return
        here.leave(self._token)
        if exc is not None:
            self._span.fail(kind_of(exc))
        self._span.end()


def begun(title: Title) -> Span | None:
    """Return a span that has begun here, or None if nothing is recorded here.

    Whoever asks has to end it.
    """
    place = here.current()
    if place is None or place.tracer is None:
        return None
    return Span(title, place.tracer, place, place.span_id)


def kind_of(exc: BaseException) -> str:
    """Return what sort of error this is, in a word: a class or a code of ours, else its type."""
    for name in ("error_class", "code"):
        if isinstance(kind := getattr(exc, name, None), str):
            return str(kind)
    if isinstance(exc, (asyncio.CancelledError, GeneratorExit)):
        return "cancelled"
    return type(exc).__name__
