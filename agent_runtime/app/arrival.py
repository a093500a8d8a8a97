"""What a request is called and where it comes from, found out before anything else.

Ids and trace headers come from outside: a bad one is replaced or dropped, and never echoed; nor is
one that holds data about people, where that is looked for.
"""

import re
import secrets
from collections.abc import Callable

from agent_runtime.app.asgi import Request
from agent_runtime.app.forward import HOP_HEADER
from agent_runtime.guard import roles
from agent_runtime.observability.tracing import context
from agent_runtime.observability.tracing.here import Here
from agent_runtime.observability.tracing.spans import SpanKind, Title, Tracer

REQUEST_ID_HEADER = b"x-request-id"
# what UUIDs, ULIDs, base64 and the ids of common proxies are made of
_REQUEST_ID = re.compile(r"[A-Za-z0-9._~:+/=-]{1,128}")
_TRACEPARENT, _TRACESTATE = context.TRACEPARENT.encode(), context.TRACESTATE.encode()
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"})


def new_request_id() -> str:
    """Return an id for a request that brings none."""
    return f"req_{secrets.token_hex(12)}"


class Arrivals:
    """Judges what requests bring along."""

    def __init__(
        self, tracer: Tracer | None = None, is_private: Callable[[str], bool] = lambda _: False
    ) -> None:
        """`is_private` tells whether a text holds what may not pass."""
        self._tracer = tracer
        self._is_private = is_private
        self._titles: dict[tuple[str, str], Title] = {}

    def of(self, request: Request, route: str, make_id: Callable[[], str]) -> Here:
        """Return where the request is, and give it its id.

        `route` is the path that it has met, or its pattern, empty for none; `make_id` makes ids.
        """
        self._identify(request, make_id)
        state = request.header(_TRACESTATE)
        if state is not None and self._is_private(state):
            state = None
        parent = context.parse(request.header(_TRACEPARENT), state)
        if self._tracer is None or request.path in roles.OPEN_TO_ALL:
            if parent is None:
                return Here(request.id)
            return Here(
                request.id,
                parent.trace_id,
                parent.span_id,
                sampled=parent.sampled,
                state=parent.state,
            )
        here = self._tracer.arrived(lambda: self._title(request.method, route), request.id, parent)
        if here.span is not None:
            here.span.values["agentsystem.request_id"] = request.id
        return here

    def _identify(self, request: Request, make_id: Callable[[], str]) -> None:
        given = request.header(REQUEST_ID_HEADER)
        if given is None or not _REQUEST_ID.fullmatch(given) or self._is_private(given):
            request.id, request.id_is_ours = make_id(), True
            return
        request.id = given
        # the pod that passed it on may have made it, as we would have
        request.id_is_ours = request.header(HOP_HEADER) is not None and _alike(given, make_id())

    def _title(self, method: str, route: str) -> Title:
        verb = method if method in _METHODS else "_OTHER"
        title = self._titles.get((verb, route))
        if title is None:
            title = self._titles[verb, route] = _title(verb, route)
        return title


def _alike(one: str, other: str) -> bool:
    return len(one) == len(other) and one[:5] == other[:5]


def _title(method: str, route: str) -> Title:
    # paths that nobody has foreseen are the caller's words, and stay out
    named = {"http.route": route} if route else {}
    path = {"url.path": route} if route and "{" not in route else {}
    values = {"http.request.method": method, "url.scheme": "http", **named, **path}
    name = "HTTP" if method == "_OTHER" else method
    return Title(f"{name} {route}".strip(), SpanKind.SERVER, values)
