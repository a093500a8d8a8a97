"""The metrics of cost; docs/cost.md lists them.

A tenant's name comes from outside: only so many become labels, the others share one.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge

MAX_TENANTS = 100  # labels live as long as the process
OTHERS = "(others)"
NO_TENANT = "-"


class MoneyMetrics:
    """Part of `metrics.Metrics`, in its registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        reg = registry
        self._cost = Counter(
            "agent_cost_usd", "What answers cost, by whose count: reported or estimated.",
            ["agent", "provider", "model", "count"], registry=reg,
        )  # fmt: skip
        self._tenants = Counter(
            "agent_tenant_cost_usd", "What answers cost, by tenant.", ["tenant"], registry=reg
        )
        self.today = Gauge(
            "agent_cost_today_usd", "What this process has spent since midnight UTC.", registry=reg
        )
        self._unknown = Counter(
            "agent_cost_unknown", "Answers whose model has no price.", ["provider", "model"],
            registry=reg,
        )  # fmt: skip
        self.expensive = Counter(
            "agent_expensive_requests", "Requests that cost more than 1 USD.", ["agent"],
            registry=reg,
        )  # fmt: skip
        self._known: set[str] = set()
        # looked up once: a lookup by label costs microseconds
        self._series: dict[tuple[str, str, str, str], Counter] = {}
        self._by_tenant: dict[str, Counter] = {}

    def charged(
        self, agent: str, provider: str, model: str, *, usd: float, estimated: bool
    ) -> None:
        """Count what one answer of one provider cost."""
        labels = (agent, provider, model, "estimated" if estimated else "reported")
        series = self._series.get(labels) or self._series.setdefault(
            labels, self._cost.labels(*labels)
        )
        series.inc(usd)

    def charged_tenant(self, tenant: str, usd: float) -> None:
        """Count what a tenant spent."""
        if tenant not in self._known and len(self._known) < MAX_TENANTS:
            self._known.add(tenant)
        name = tenant if tenant in self._known else OTHERS
        series = self._by_tenant.get(name) or self._by_tenant.setdefault(
            name, self._tenants.labels(name or NO_TENANT)
        )
        series.inc(usd)

    def without_price(self, provider: str, model: str) -> None:
        """Count an answer of unknown cost."""
        self._unknown.labels(provider, model).inc()
