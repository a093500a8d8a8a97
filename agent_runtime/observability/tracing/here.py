"""Where we are: the request that is being answered now, and the innermost span of it.

Kept in a context variable, so that log lines and calls to others know it without being told.
Invariant: whoever enters a place leaves it in the same task and before it yields to a caller.
"""

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

from agent_runtime.observability.tracing import context

if TYPE_CHECKING:
    from agent_runtime.observability.tracing.spans import Span, Tracer


class Here:
    """One request, or a part of it; never changed once it is made.

    `trace_id` is empty if nobody traces the request. `span_id` is that of the span that calls to
    others come from: ours, or its caller's where we record none. `span` is the innermost that is
    being recorded, `tracer` what records spans of this request.
    """

    __slots__ = ("request_id", "sampled", "span", "span_id", "state", "trace_id", "tracer")

    def __init__(
        self,
        request_id: str,
        trace_id: str = "",
        span_id: str = "",
        *,
        sampled: bool = False,
        state: str = "",
        span: "Span | None" = None,
        tracer: "Tracer | None" = None,
    ) -> None:
        self.request_id = request_id
        self.trace_id = trace_id
        self.span_id = span_id
        self.sampled = sampled
        self.state = state
        self.span = span
        self.tracer = tracer

    def trace_headers(self) -> dict[str, str]:
        """Return what a call to others says of where it comes from."""
        if not self.trace_id:
            return {}
        parent = context.written(self.trace_id, self.span_id, sampled=self.sampled)
        headers = {context.TRACEPARENT: parent}
        if self.state:
            headers[context.TRACESTATE] = self.state
        return headers


_HERE: ContextVar[Here | None] = ContextVar("here", default=None)


def current() -> Here | None:
    """Return where we are; None outside of any request."""
    return _HERE.get()


def enter(here: Here) -> Token[Here | None]:
    """Be there until `leave`."""
    return _HERE.set(here)


def leave(token: Token[Here | None]) -> None:
    """Be where we were before."""
    _HERE.reset(token)


def trace_headers() -> dict[str, str]:
    """Return the trace headers of a call to others that is made here."""
    here = _HERE.get()
    return here.trace_headers() if here is not None else {}
