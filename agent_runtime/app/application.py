"""The two ASGI applications: the API on one port, metrics on another."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from agent_runtime.agents.directory import Directory
from agent_runtime.app import errors
from agent_runtime.app.admission import Admission
from agent_runtime.app.arrival import Arrivals, new_request_id
from agent_runtime.app.asgi import ClientGone, Receive, Reply, Request, Scope, Send
from agent_runtime.app.errors import ApiError
from agent_runtime.app.gate import Gate
from agent_runtime.app.quota import Quota
from agent_runtime.cost.accounts import Accounts
from agent_runtime.memory.base import StoreUnavailable
from agent_runtime.memory.sessions import Sessions
from agent_runtime.observability.metrics import Metrics
from agent_runtime.observability.tracing import here
from agent_runtime.observability.tracing.spans import Span
from agent_runtime.providers.keys import KeyFile

Endpoint = Callable[[Request, Reply], Awaitable[None]]
MODELS = "/v1/models"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """Who answers a request."""

    endpoint: Endpoint | ApiError
    route: str = ""
    """The path, or its pattern; empty if nobody answers there."""

    @property
    def makes_ids(self) -> Callable[[], str]:
        """What makes the ids of requests that bring none: some are their answer's id as well."""
        made: Callable[[], str] = getattr(self.endpoint, "new_id", new_request_id)
        return made


class Application:
    """Finds the endpoint of a request; the one place where an unforeseen exception ends."""

    def __init__(
        self,
        endpoints: dict[tuple[str, str], Endpoint],
        admission: Admission,
        *,
        below: dict[tuple[str, str], Endpoint] | None = None,
        gate: Gate | None = None,
        arrivals: Arrivals | None = None,
        quota: Quota | None = None,
    ) -> None:
        """`endpoints` by method and path; `below` by method and path prefix."""
        self._endpoints = {at: _Found(endpoint, at[1]) for at, endpoint in endpoints.items()}
        self._below = {
            at: _Found(endpoint, f"{at[1]}{{id}}") for at, endpoint in (below or {}).items()
        }
        self._arrivals = arrivals or Arrivals()
        self._admission = admission
        self._gate = gate
        self._quota = quota

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":  # lifespan is off and there are no websockets
            return
        request = Request(scope, receive)
        reply = Reply(send, close=self._admission.draining, answer=request.answer)
        found = self._find(request)
        place = self._arrivals.of(request, found.route, found.makes_ids)
        reply.identify(request.id)
        token = here.enter(place)
        try:
            await self._answer(found.endpoint, request, reply)
        finally:
            here.leave(token)
            if place.span is not None:
                _end(place.span, reply)

    async def _answer(self, endpoint: Endpoint | ApiError, request: Request, reply: Reply) -> None:
        if isinstance(endpoint, ApiError):
            await reply.fail(endpoint)
            return
        try:
            if self._gate is not None:
                await self._gate.admit(request)
            if self._quota is not None:
                await self._quota.admit(request, reply)
            await endpoint(request, reply)
        except ApiError as exc:
            await reply.fail(exc)
        except ClientGone:
            return
        except Exception:  # noqa: BLE001  # the top of the loop: logged, answered, counted
            _log.exception("request failed", extra={"path": request.path[:100]})
            await reply.fail(errors.internal())

    def _find(self, request: Request) -> _Found:
        method = "GET" if request.method == "HEAD" else request.method
        if found := self._endpoints.get((method, request.path)):
            return found
        allowed = [verb for verb, path in self._endpoints if path == request.path]
        for (verb, prefix), found in self._below.items():
            if request.path.startswith(prefix):
                if verb == method:
                    return found
                allowed.append(verb)
        return _Found(_not_found(request, allowed))


def _end(span: Span, reply: Reply) -> None:
    """End the span of a request with what its caller was told."""
    if reply.status is None:
        span.values["error.type"] = "client_gone"
    else:
        span.values["http.response.status_code"] = reply.status
        if reply.status >= 500:
            span.fail(str(reply.status))
        elif reply.failed and reply.status == 200:
            span.fail("interrupted")
    span.end()


def _not_found(request: Request, allowed: Sequence[str]) -> ApiError:
    what = f"{request.method} {request.path[:100]}"
    if allowed:
        text = f"Not allowed to {request.method} on {request.path[:100]}; use {allowed[0]}."
        return ApiError(
            405, text, code="method_not_supported", headers={"allow": ", ".join(allowed)}
        )
    return ApiError(404, f"Invalid URL ({what})", code="unknown_url")


class Probes:
    """`/health`: the process lives. `/ready`: it wants new requests; no provider has a say."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def health(self, _request: Request, reply: Reply) -> None:
        """Answer 200 for as long as the event loop turns."""
        await reply.json(200, {"status": "ok"})

    async def ready(self, _request: Request, reply: Reply) -> None:
        """Answer 503 from SIGTERM on."""
        if self._admission.draining:
            await reply.json(503, {"status": "draining"})
        else:
            await reply.json(200, {"status": "ready"})


class ModelsEndpoint:
    """`GET /v1/models`: the agents that can be asked for here."""

    def __init__(self, directory: Directory) -> None:
        created = int(time.time())
        self._models = {
            name: {
                "id": name, "object": "model", "created": created, "owned_by": directory.system,
            }
            for name in directory.names()
        }  # fmt: skip

    async def all(self, _request: Request, reply: Reply) -> None:
        """Answer with every agent."""
        await reply.json(200, {"object": "list", "data": list(self._models.values())})

    async def one(self, request: Request, reply: Reply) -> None:
        """Answer with one agent, or 404."""
        name = request.path.removeprefix(f"{MODELS}/")
        if name not in self._models:
            text = f"The model '{name[:100]}' does not exist"
            raise ApiError(404, text, param="model", code="model_not_found")
        await reply.json(200, self._models[name])


class MetricsEndpoint:
    """`GET /metrics`: what changes by itself is read when it is asked for."""

    def __init__(
        self,
        metrics: Metrics,
        admission: Admission,
        keys: dict[str, KeyFile],
        sessions: Sessions | None,
        accounts: Accounts,
    ) -> None:
        self._metrics = metrics
        self._admission = admission
        self._keys = keys
        self._sessions = sessions
        self._accounts = accounts

    async def __call__(self, _request: Request, reply: Reply) -> None:
        """Answer in Prometheus' text format."""
        self._metrics.in_flight.set(self._admission.in_flight)
        self._metrics.queued.set(self._admission.waiting)
        now = asyncio.get_running_loop().time()
        self._metrics.oldest_wait.set(self._admission.oldest_wait_s(now))
        self._metrics.draining.set(self._admission.draining)
        self._accounts.show()
        for provider, key in self._keys.items():
            self._metrics.key_missing.labels(provider).set(await key.is_missing())
        await self._count_sessions()
        content_type = (b"content-type", CONTENT_TYPE_LATEST.encode())
        # the process' own figures are read from /proc
        text = await asyncio.to_thread(generate_latest, self._metrics.registry)
        await reply.body(200, text, [content_type])

    async def _count_sessions(self) -> None:
        if self._sessions is None:
            return
        try:
            self._metrics.sessions.set(await self._sessions.count())
        except StoreUnavailable:
            self._metrics.sessions.set(float("nan"))  # unknown is not zero
