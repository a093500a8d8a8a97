"""The metrics of who is let in; docs/security.md lists them."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class GuardMetrics:
    """One instance per process, in the process's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.authenticates = Gauge(
            "agent_guard_authenticates", "1 if callers have to say who they are.",
            registry=registry,
        )  # fmt: skip
        self.keys_stale = Gauge(
            "agent_guard_keys_stale",
            "1 while keys that callers are held against cannot be read anew.",
            registry=registry,
        )
        self._refusals = Counter(
            "agent_guard_refusals", "Requests that were not let in, by reason.", ["reason"],
            registry=registry,
        )  # fmt: skip

        self.limits_alone = Gauge(
            "agent_limits_alone",
            "1 while the pod counts requests for itself, since Redis is away.",
            registry=registry,
        )
        self._limited = Counter(
            "agent_limit_refusals", "Requests above a limit, by whose and which it was.",
            ["scope", "limit"], registry=registry,
        )  # fmt: skip

    def limited(self, scope: str, limit: str) -> None:
        """Count one request that was refused for being above a limit."""
        self._limited.labels(scope, limit).inc()

    def refused(self, reason: str) -> None:
        """Count one request that was not let in."""
        self._refusals.labels(reason).inc()
