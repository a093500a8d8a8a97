"""The metrics of exported traces; docs/observability.md lists them."""

from prometheus_client import CollectorRegistry, Counter


class TraceMetrics:
    """One instance per process, in the process's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._exported = Counter(
            "agent_trace_spans_exported", "Spans that the endpoint of traces took.",
            registry=registry,
        )  # fmt: skip
        self._rejected = Counter(
            "agent_trace_spans_rejected",
            "Spans that the endpoint says, by partial success, that it did not keep.",
            registry=registry,
        )
        self._dropped = Counter(
            "agent_trace_spans_dropped", "Spans that were not delivered, by reason.", ["reason"],
            registry=registry,
        )  # fmt: skip

    def exported(self, count: int) -> None:
        """Count spans that were taken."""
        self._exported.inc(count)

    def rejected(self, count: int) -> None:
        """Count those of them that were not kept."""
        self._rejected.inc(count)

    def dropped(self, reason: str, count: int) -> None:
        """Count spans that will not be sent any more."""
        if count:
            self._dropped.labels(reason).inc(count)
