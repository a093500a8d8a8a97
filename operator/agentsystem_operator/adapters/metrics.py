"""What Prometheus may know of the operator. Labels come from closed sets only.

A registry of its own, so that a test can list every name. No label ever carries the name of a
system, agent, pod or user: their number is not ours to bound.
"""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

RESULTS = ("settled", "acted", "waiting", "refused", "conflict", "unreachable", "stopped", "failed")
"""How one pass over a system can end."""

_QUEUE_BUCKETS = (0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)
_PASS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15)


class Metrics:
    """All metrics of one operator process."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._depth = Gauge(
            "agentsystem_queue_depth", "Systems waiting for a worker now.", registry=registry
        )
        self._paused = Gauge(
            "agentsystem_queue_paused",
            "1 while the apiserver is unreachable or overloaded.",
            registry=registry,
        )
        self._latency = Histogram(
            "agentsystem_queue_latency_seconds",
            "From a system being due to a worker taking it.",
            buckets=_QUEUE_BUCKETS,
            registry=registry,
        )
        self._passes = Histogram(
            "agentsystem_reconcile_seconds",
            "One pass over a system, by how it ended.",
            ["result"],
            buckets=_PASS_BUCKETS,
            registry=registry,
        )
        self._calls = Counter(
            "agentsystem_api_calls",
            "Requests to the apiserver, by verb, kind and outcome.",
            ["verb", "kind", "outcome"],
            registry=registry,
        )
        self._actions = Counter(
            "agentsystem_actions",
            "Writes that were done, by action.",
            ["action"],
            registry=registry,
        )
        self._age = Gauge(
            "agentsystem_watch_age_seconds",
            "Since the oldest watch of a kind last heard anything.",
            ["kind"],
            registry=registry,
        )
        self._leader = Gauge(
            "agentsystem_leader", "1 while this process may write.", registry=registry
        )
        self._systems = Gauge(
            "agentsystem_systems",
            "AgentSystems by condition and its status.",
            ["condition", "status"],
            registry=registry,
        )

    def queue_depth(self, read: Callable[[], int]) -> None:
        """Show what `read` returns as the queue's depth."""
        self._depth.set_function(read)

    def queue_paused(self, read: Callable[[], bool]) -> None:
        """Show what `read` returns as the queue's pause."""
        self._paused.set_function(read)

    def leader(self, read: Callable[[], bool]) -> None:
        """Show what `read` returns as leadership."""
        self._leader.set_function(read)

    def watch_age(self, kind: str, read: Callable[[], float]) -> None:
        """Show what `read` returns as the age of the watch of a kind."""
        self._age.labels(kind).set_function(read)

    def waited(self, seconds: float) -> None:
        """Count the time that one system waited for a worker."""
        self._latency.observe(seconds)

    def passed(self, result: str, seconds: float) -> None:
        """Count one pass over a system."""
        self._passes.labels(result).observe(seconds)

    def api_call(self, verb: str, kind: str, outcome: str) -> None:
        """Count one request to the apiserver."""
        self._calls.labels(verb, kind, outcome).inc()

    def acted(self, action: str) -> None:
        """Count one write that was done."""
        self._actions.labels(action).inc()

    def systems(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Show how many systems have each (condition, status)."""
        for (condition, status), count in counts.items():
            self._systems.labels(condition, status).set(count)

    def page(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self.registry)
