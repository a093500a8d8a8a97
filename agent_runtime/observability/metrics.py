"""The runtime's Prometheus metrics, in a registry of their own.

Labels come from closed sets only: configured agents and providers, status codes, our enums.
"""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from agent_runtime.observability.budget_metrics import BudgetMetrics
from agent_runtime.observability.cache_metrics import CacheMetrics
from agent_runtime.observability.genai_metrics import GenAiMetrics
from agent_runtime.observability.guard_metrics import GuardMetrics
from agent_runtime.observability.load import LoadWindow
from agent_runtime.observability.money import MoneyMetrics
from agent_runtime.observability.pii_metrics import PiiMetrics
from agent_runtime.observability.process import ProcessUse
from agent_runtime.observability.trace_metrics import TraceMetrics

NO_AGENT = "-"  # a request that named no agent of ours; no agent can be called so
# requests take from a millisecond (scripted) to minutes (a slow model); 5 and 10 s are alert bounds
_DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 120, 300)


@dataclass(frozen=True, slots=True)
class _Series:
    """The children of one agent and status, looked up once: label lookup costs microseconds."""

    requests: Counter
    requests_by_type: Counter
    duration: Histogram


class Metrics:
    """Every metric of the process; docs/runtime.md lists them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(ProcessUse())
        reg = self.registry
        self._requests = Counter(
            "agent_requests", "Chat requests by agent and HTTP status.", ["agent", "status"],
            registry=reg,
        )  # fmt: skip
        self._requests_by_type = Counter(
            "multiagent_requests", "Chat requests by agent and success or error.",
            ["agent_type", "status"], registry=reg,
        )  # fmt: skip
        self._duration = Histogram(
            "multiagent_request_duration_seconds", "Time from request to end of answer.",
            ["agent_type"], buckets=_DURATION_BUCKETS, registry=reg,
        )  # fmt: skip
        self._tokens = Counter(
            "agent_tokens", "Tokens by agent and direction (input or output).",
            ["agent", "direction"], registry=reg,
        )  # fmt: skip
        self._provider_errors = Counter(
            "agent_provider_errors", "Failed provider calls by class.", ["provider", "class"],
            registry=reg,
        )  # fmt: skip
        self._breakers = Gauge(
            "agent_provider_breaker_state", "0: asked, 1: probed, 2: left alone, after failures.",
            ["provider", "model"], registry=reg,
        )  # fmt: skip
        self._limited = Counter(
            "agent_provider_limited", "Requests that found the provider's own limit reached.",
            ["provider"], registry=reg,
        )  # fmt: skip
        self.key_missing = Gauge(
            "agent_provider_key_missing", "1 while the provider's key file is absent or empty.",
            ["provider"], registry=reg,
        )  # fmt: skip
        self.store_up = Gauge(
            "agent_store_up", "1 while the shared server can be used, 0 while it is away.",
            ["store"], registry=reg,
        )  # fmt: skip
        self.session_key_missing = Gauge(
            "agent_session_key_missing", "1 while sessions are encrypted and there is no key.",
            registry=reg,
        )  # fmt: skip
        self.in_flight = Gauge(
            "agent_requests_in_flight", "Chat requests being answered now.", registry=reg
        )
        self.queued = Gauge("agent_queue_depth", "Chat requests that wait.", registry=reg)
        self.oldest_wait = Gauge(
            "agent_queue_oldest_seconds", "How long the first of them has been waiting.",
            registry=reg,
        )  # fmt: skip
        self.sessions = Gauge("agent_sessions", "Sessions in the store.", registry=reg)
        self.draining = Gauge("agent_draining", "1 after SIGTERM.", registry=reg)
        self.active_agents = Gauge(
            "multiagent_active_agents", "Agents that this process answers for.", registry=reg
        )
        self.load = LoadWindow()
        self.pii = PiiMetrics(reg)
        self.guard = GuardMetrics(reg)
        self.budget: BudgetMetrics | None = None
        """Only where there is a budget."""
        self.money = MoneyMetrics(reg)
        self.cache = CacheMetrics(reg)
        self.genai = GenAiMetrics(reg)
        self.traces = TraceMetrics(reg)
        self._series: dict[tuple[str, str], _Series] = {}
        self._token_series: dict[str, tuple[Counter, Counter]] = {}

    def request_ended(self, agent: str, status: str, seconds: float) -> None:
        """Count one chat request; `status` is an HTTP status, `interrupted` or `client_gone`."""
        series = self._series.get((agent, status)) or self._add_series(agent, status)
        series.requests.inc()
        series.requests_by_type.inc()
        series.duration.observe(seconds)
        self.load.ended(seconds)

    def _add_series(self, agent: str, status: str) -> _Series:
        outcome = "success" if status.startswith("2") else "error"
        series = _Series(
            self._requests.labels(agent, status),
            self._requests_by_type.labels(agent, outcome),
            self._duration.labels(agent),
        )
        self._series[agent, status] = series
        return series

    def tokens_used(self, agent: str, prompt: int, completion: int) -> None:
        """Count what an answer cost."""
        series = self._token_series.get(agent)
        if series is None:
            series = (self._tokens.labels(agent, "input"), self._tokens.labels(agent, "output"))
            self._token_series[agent] = series
        series[0].inc(prompt)
        series[1].inc(completion)
        self.load.used(prompt + completion)

    def breaker(self, provider: str, model: str) -> Gauge:
        """Return the gauge of one breaker, which is closed at first."""
        return self._breakers.labels(provider, model)

    def limited(self, provider: str) -> Counter:
        """Return the count of requests that found a provider's limit reached."""
        return self._limited.labels(provider)

    def provider_failed(self, provider: str, error_class: str) -> None:
        """Count one failed call of a provider."""
        self._provider_errors.labels(provider, error_class).inc()
