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

    def refused(self, reason: str) -> None:
        """Count one request that was not let in."""
        self._refusals.labels(reason).inc()
