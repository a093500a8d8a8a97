"""The stage that keeps `guard.limits`: how often one may ask, before anybody waits for a slot.

A request is counted once, where it enters the system: what a sibling has let in is not counted
again. Requests that nobody can take now count for nothing. Which agent is asked stands in the
body, so where agents have a limit all is counted, in one piece, when the body has been read.
"""

import functools
import math
from collections.abc import Mapping

from agent_runtime.app.admission import Admission
from agent_runtime.app.asgi import Reply, Request
from agent_runtime.app.contract_guard import LimitsEntry
from agent_runtime.app.errors import ApiError
from agent_runtime.guard.principal import Principal
from agent_runtime.guard.quota.rates import Counter, Rate, Refused, Scope, Span, Subject
from agent_runtime.guard.quota.refusals import Refusals
from agent_runtime.guard.quota.shared import Shared
from agent_runtime.guard.quota.window import Alone
from agent_runtime.observability.guard_metrics import GuardMetrics
from agent_runtime.stores.base import scope
from agent_runtime.stores.redis import Redis

MAX_RETRY_S = 60.0
"""OpenAI's clients ignore a longer Retry-After; who comes so early is told the last second."""

_TEXTS = {
    Span.MINUTE: "requests per minute",
    Span.DAY: "requests per day",
}
_WHOSE = {
    Scope.KEY: "your key",
    Scope.TENANT: "your tenant",
    Scope.AGENT: "this agent",
}


class Quota:
    """Counts requests, and refuses those above a limit."""

    def __init__(
        self,
        rates: Mapping[Scope, Rate],
        counter: Counter,
        admission: Admission,
        metrics: GuardMetrics,
    ) -> None:
        self._rates = rates
        self._counter = counter
        self._admission = admission
        self._metrics = metrics
        self._refusals = Refusals()

    async def admit(self, request: Request, reply: Reply) -> None:
        """Count a request that has just come in, or raise the 429 that refuses it."""
        if request.is_vouched_for or request.method != "POST":
            return
        self._admission.refuse_crowd(request.principal)
        callers = self._callers(request.principal)
        if Scope.AGENT not in self._rates:
            await self._count(callers, reply)
            return
        if refused := self._refusals.find(callers):
            raise self._refusal(refused, reply)
        request.when_agent_known = functools.partial(self._admit_to, callers, reply)

    async def _admit_to(self, callers: tuple[Subject, ...], reply: Reply, agent: str) -> None:
        asked = Subject(Scope.AGENT, agent, self._rates[Scope.AGENT])
        await self._count((*callers, asked), reply)

    async def _count(self, subjects: tuple[Subject, ...], reply: Reply) -> None:
        if refused := self._refusals.find(subjects):
            raise self._refusal(refused, reply)
        verdict = await self._counter.admit(subjects)
        if isinstance(verdict, Refused):
            self._refusals.keep(subjects, verdict)
            raise self._refusal(verdict, reply)
        _tell(reply, verdict.limit, verdict.remaining, verdict.reset_s)

    def _callers(self, who: Principal) -> tuple[Subject, ...]:
        """Return who is counted; a caller without a tenant is one of its own, as in the queue."""
        own = f"{who.tenant}/{who.id}"  # no tenant holds a slash
        key, tenant = self._rates.get(Scope.KEY), self._rates.get(Scope.TENANT)
        of_tenant = () if tenant is None else (Subject(Scope.TENANT, who.tenant or own, tenant),)
        return of_tenant if key is None else (Subject(Scope.KEY, own, key), *of_tenant)

    def _refusal(self, refused: Refused, reply: Reply) -> ApiError:
        self._metrics.limited(refused.scope, refused.span)
        _tell(reply, refused.limit, 0, refused.reset_s)
        limit = f"{_WHOSE[refused.scope]} has {refused.limit} {_TEXTS[refused.span]}"
        after_s = math.ceil(refused.retry_after_s)
        if refused.span is Span.MINUTE:
            after = str(max(1, min(after_s, int(MAX_RETRY_S))))
            text = f"Rate limit reached: {limit}. Try again in {after} s."
            return ApiError(
                429, text, "rate_limit_error", code="rate_limit_exceeded",
                headers={"retry-after": after},
            )  # fmt: skip
        text = f"Quota exhausted: {limit}. It begins anew at midnight UTC, in {_duration(after_s)}."
        headers = {"retry-after": str(max(1, after_s)), "x-should-retry": "false"}
        return ApiError(429, text, "insufficient_quota", code="insufficient_quota", headers=headers)


def of(
    limits: LimitsEntry,
    redis: Redis | None,
    admission: Admission,
    metrics: GuardMetrics,
    *,
    system: tuple[str, str],
) -> Quota | None:
    """Return the stage that a config asks for, shared if there is a Redis; None: no limits.

    `system` is its namespace and name.
    """
    rates = rates_of(limits)
    if not rates:
        return None
    counter: Counter = Alone()
    if redis is not None:
        prefix = f"{scope(*system)}/limits"
        counter = Shared(redis, prefix, Alone(), changed=metrics.limits_alone.set)
    return Quota(rates, counter, admission, metrics)


def rates_of(limits: LimitsEntry) -> dict[Scope, Rate]:
    """Return what limits requests."""
    entries = {
        Scope.KEY: limits.per_key, Scope.TENANT: limits.per_tenant, Scope.AGENT: limits.per_agent,
    }  # fmt: skip
    return {
        whose: Rate(entry.requests_per_minute or 0, entry.requests_per_day or 0)
        for whose, entry in entries.items()
        if entry is not None
    }


def _tell(reply: Reply, limit: int, remaining: int, reset_s: float) -> None:
    """Say what is left, in the headers that OpenAI's API has for it."""
    reply.limited = [
        (b"x-ratelimit-limit-requests", b"%d" % limit),
        (b"x-ratelimit-remaining-requests", b"%d" % remaining),
        (b"x-ratelimit-reset-requests", _duration(math.ceil(reset_s)).encode()),
    ]


def _duration(seconds: int) -> str:
    """Return seconds as OpenAI's API writes them: 59 -> 59s, 3661 -> 1h1m1s."""
    minutes, rest = divmod(max(0, seconds), 60)
    if not minutes:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"
