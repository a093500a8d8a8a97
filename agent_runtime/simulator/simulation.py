"""What is answered to a request: route, key, limit, fault, answer, bill. No socket in sight."""

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import orjson

from agent_runtime.observability import logs
from agent_runtime.problems import Invalid
from agent_runtime.providers.base import Json
from agent_runtime.simulator import anthropic_wire, azure_paths, delivery, openai_wire
from agent_runtime.simulator.author import Author, default_script
from agent_runtime.simulator.counts import Counts, Ticket, fingerprint
from agent_runtime.simulator.delivery import Delivery
from agent_runtime.simulator.exchange import Headers, Refused, Request, Usage, Wire
from agent_runtime.simulator.faults import Control, Fault, directive_in, parse_directive
from agent_runtime.simulator.limiter import TOKENS, Level, Limiter, Verdict
from agent_runtime.simulator.prompt_cache import Prefixes, Use
from agent_runtime.simulator.rulebook import Facts, Rulebook

OPENAI = openai_wire.OpenAIWire()
ANTHROPIC = anthropic_wire.AnthropicWire()

_HEALTHY = orjson.dumps({"status": "ok"})
_NO_MODEL = "-"  # the request could not be read so far

Clock = Callable[[], float]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Call:
    """One request that is to be answered, as far as it has been read."""

    request: Request
    wire: Wire
    body: Json
    model: str
    key: str  # its fingerprint
    ticket: Ticket
    id: str
    headers: Headers


class Simulation:
    """A provider's state: orders, limits, caches, counts."""

    def __init__(
        self, control: Control, *, clock: Clock = time.monotonic, wall: Clock = time.time
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._prefix = secrets.token_hex(5)  # ids of two processes differ
        self._number = 0
        self.counts = Counts()
        self.order(control)

    def order(self, control: Control) -> None:
        """Obey a new control document; every rule, limit and cache begins afresh."""
        self.control = control
        self._rules = Rulebook(control.rules, self._clock())
        self._limiter = Limiter(control.limits)
        self._author = Author(control.answers or default_script())
        self._cache = Prefixes(control.prompt_cache)

    def reset_counts(self) -> None:
        """Count from zero; what is on its way is not counted any more."""
        self.counts = Counts()

    def rules_state(self) -> list[Json]:
        """Return what each rule has done, in their order."""
        return self._rules.state(self._clock())

    def count_status(self, status: int) -> None:
        """Count an answer whose headers leave."""
        self.counts.answered(status)

    def handle(self, request: Request) -> Delivery:
        """Return what is to be sent for a request."""
        path = request.path
        wire: Wire = ANTHROPIC if b"anthropic-version" in request.headers else OPENAI
        if request.method == "GET":
            return _get(path, wire)
        posts: dict[str, tuple[Wire, Callable[[_Call], Delivery]]] = {
            "/chat/completions": (OPENAI, self._answer),
            "/embeddings": (OPENAI, self._embed),
            "/messages": (ANTHROPIC, self._answer),
        }
        for end, (spoken, reply) in posts.items():
            if path.endswith(end) and request.method == "POST":
                return self._post(request, spoken, reply)
        status = 405 if any(map(path.endswith, posts)) else 404
        return delivery.whole(status, wire.error(404, f"{request.method} is not answered here"))

    def _post(self, request: Request, wire: Wire, reply: Callable[[_Call], Delivery]) -> Delivery:
        key, call_id = _key(request), self._new_id()
        name = b"request-id" if wire is ANTHROPIC else b"x-request-id"
        headers = [(name, b"req_" + call_id.encode())]
        print_ = fingerprint(key)
        try:
            _check_headers(request, wire, key)
            deployment = azure_paths.deployment(request)
            body = _json(request.body)
        except Refused as exc:
            ticket = self.counts.begin(request.path, _NO_MODEL, print_)
            return _refusal(wire, exc, headers, ticket)
        if deployment is not None:
            body["model"] = deployment  # whatever the body says, as at Azure
        model = body.get("model")
        model = model if isinstance(model, str) else _NO_MODEL
        ticket = self.counts.begin(request.path, model, print_)
        call = _Call(request, wire, body, model, print_, ticket, call_id, headers)
        try:
            return reply(call)
        except Refused as exc:
            return _refusal(wire, exc, headers, ticket)
        except Exception as exc:  # noqa: BLE001  # a fault of ours must not end the simulation
            _log.error("request failed", extra={"exception": logs.place_of(exc)})
            return delivery.whole(500, wire.error(500), headers=headers, ticket=ticket)

    def _answer(self, call: _Call) -> Delivery:
        asked = call.wire.asked(call.body)
        use = self._cache.look(f"{call.key} {call.model}", asked.blocks, self._clock())
        written = self._author.write(asked, use, call.id)
        fault = self._fault(call, stream=asked.stream) or written.fault
        usage = written.answer.usage
        common = {"ticket": call.ticket, "usage": usage}
        if asked.stream:
            stream = call.wire.stream(written.answer, include_usage=asked.include_usage)
            good = delivery.streamed(stream, **common)
        else:
            good = delivery.whole(200, call.wire.whole(written.answer), **common)
        latency = written.latency
        good = delivery.paced(good, latency.first_token_seconds, latency.per_token_seconds)
        return self._finish(call, good, fault, use)

    def _embed(self, call: _Call) -> Delivery:
        _, tokens, body = openai_wire.embeddings(call.body)
        good = delivery.whole(200, body, ticket=call.ticket, usage=Usage(tokens, 0))
        return self._finish(call, good, self._fault(call, stream=False), None)

    def _fault(self, call: _Call, *, stream: bool) -> Fault | None:
        ordered = call.request.headers.get(b"x-simulate") or directive_in(call.model)
        if ordered:
            try:
                return parse_directive(ordered)
            except Invalid as exc:
                raise Refused(400, str(exc), code="invalid_simulation") from exc
        request = call.request
        facts = Facts(request.path, call.model, call.key, stream, request.headers)
        return self._rules.strike(facts, self._clock())

    def _finish(
        self, call: _Call, good: Delivery, fault: Fault | None, use: Use | None
    ) -> Delivery:
        """Apply limit and fault, in this order, to the delivery of a good answer."""
        tokens = good.usage.total if good.usage else 0
        verdict = self._limiter.ask(call.key, tokens, self._clock())
        limits = call.wire.limit_headers(verdict.levels, self._wall())
        headers = [*call.headers, *limits]
        if verdict.refused_by:
            self.counts.struck("rateLimit")
            return _limited(call, verdict, tokens, headers)
        found = replace(good, headers=headers)
        if fault:
            self.counts.struck(fault.kind)
            now = datetime.fromtimestamp(self._wall(), UTC)
            found = delivery.distort(found, fault, call.wire, now)
        if use and found.usage:
            self._cache.keep(use, self._clock())
        return found

    def _new_id(self) -> str:
        self._number += 1
        return f"{self._prefix}{self._number:010x}"


def _get(path: str, wire: Wire) -> Delivery:
    if path == "/health":
        return delivery.whole(200, _HEALTHY)
    models = anthropic_wire if wire is ANTHROPIC else openai_wire
    if path.endswith("/models"):
        return delivery.whole(200, models.models())
    _, found, name = path.rpartition("/models/")
    if found and name:
        return delivery.whole(200, models.model(name))
    return delivery.whole(404, wire.error(404, "GET is not answered here"))


def _key(request: Request) -> str | None:
    headers = request.headers
    if key := headers.get(b"x-api-key") or headers.get(b"api-key"):
        return key
    scheme, _, token = headers.get(b"authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _check_headers(request: Request, wire: Wire, key: str | None) -> None:
    if wire is not ANTHROPIC:
        return  # many compatible endpoints want no key
    if key is None or b"x-api-key" not in request.headers:
        raise Refused(401, "x-api-key header is required")
    if b"anthropic-version" not in request.headers:
        raise Refused(400, "anthropic-version: header is required")


def _json(body: bytes) -> Json:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise Refused(400, "The request body is not valid JSON") from exc
    if not isinstance(document, dict):
        raise Refused(400, "The request body is no JSON object")
    return document


def _refusal(wire: Wire, exc: Refused, headers: Headers, ticket: Ticket) -> Delivery:
    body = wire.error(exc.status, exc.message, exc.code)
    return delivery.whole(exc.status, body, headers=headers, ticket=ticket)


def _limited(call: _Call, verdict: Verdict, tokens: int, headers: Headers) -> Delivery:
    level = _level(verdict.levels, verdict.refused_by)
    unit = "tokens per min" if level.unit == TOKENS else "requests per min"
    wanted = tokens if level.unit == TOKENS else 1
    text = f"Limit {level.limit} {unit}, remaining {level.remaining}, requested {wanted}."
    if verdict.retry_after_s is None:
        text = "Request too large. " + text
    else:
        text = "Rate limit reached. " + text
        seconds = max(1, -int(-verdict.retry_after_s // 1))  # rounded up: then it will pass
        headers = [*headers, (b"retry-after", b"%d" % seconds)]
    body = call.wire.error(429, text)
    return delivery.whole(429, body, headers=headers, ticket=call.ticket)


def _level(levels: Sequence[Level], unit: str | None) -> Level:
    return next(level for level in levels if level.unit == unit)
