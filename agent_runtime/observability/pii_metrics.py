"""The metrics of protected data: kinds and counts, and never a text or a hash of one."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class PiiMetrics:
    """One instance per process, in the process's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._found = Counter(
            "agent_pii_found",
            "Personal data found, by kind, policy and side (request, history or answer).",
            ["kind", "policy", "side"], registry=registry,
        )  # fmt: skip
        self._key_missing = Gauge(
            "agent_pii_key_missing",
            "1 while the key of guard.pii is absent or too short, and requests are refused.",
            registry=registry,
        )

    def found(self, kind: str, policy: str, side: str, count: int) -> None:
        """Count what one request has met."""
        self._found.labels(kind, policy, side).inc(count)

    def key_missing(self, missing: bool) -> None:  # a gauge's value
        """Say whether there is a usable key."""
        self._key_missing.set(missing)
