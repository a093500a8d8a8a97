"""What Prometheus may know of the operator. Labels come from closed sets only.

A registry of its own, so that a test can list every name. No label ever carries the name of a
system, agent, pod or user: their number is not ours to bound.
"""

import functools
from collections.abc import Callable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_QUEUE_BUCKETS = (0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)
_PASS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15)


class Metrics:
    """All metrics of one operator process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        gauge = functools.partial(Gauge, registry=self.registry)
        counter = functools.partial(Counter, registry=self.registry)
        histogram = functools.partial(Histogram, registry=self.registry)
        self._depth = gauge("agentsystem_queue_depth", "Systems waiting for a worker now.")
        self._paused = gauge(
            "agentsystem_queue_paused", "1 while the apiserver is unreachable or overloaded."
        )
        self._latency = histogram(
            "agentsystem_queue_latency_seconds",
            "From a system being due to a worker taking it.",
            buckets=_QUEUE_BUCKETS,
        )
        self._passes = histogram(
            "agentsystem_reconcile_seconds",
            "One pass over a system, by how it ended.",
            ["result"],
            buckets=_PASS_BUCKETS,
        )
        calls = "Requests to the apiserver, by verb, kind and outcome."
        self._calls = counter("agentsystem_api_calls", calls, ["verb", "kind", "outcome"])
        self._actions = counter("agentsystem_actions", "Writes that were done.", ["action"])
        age = "Since the oldest watch of a kind last heard anything."
        self._age = gauge("agentsystem_watch_age_seconds", age, ["kind"])
        self._leader = gauge("agentsystem_leader", "1 while this process may write.")
        self._heard = gauge("agentsystem_channel_pods", "Pods heard in the last 10 s.")
        refused = "Connections of pods that were not taken, or were ended."
        self._refused = counter("agentsystem_channel_refused", refused, ["reason"])
        self._reports = counter("agentsystem_channel_reports", "Reports of pods.")
        load = "Load of all pods that are heard: sums, of p95, oldest and saturation the highest."
        self._load = gauge("agentsystem_channel_load", load, ["measure"])
        systems = "AgentSystems by condition and its status."
        self._systems = gauge("agentsystem_systems", systems, ["condition", "status"])

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
        """Show how many systems have each (condition, status), and nothing else any more."""
        self._systems.clear()
        for (condition, status), count in counts.items():
            self._systems.labels(condition, status).set(count)

    def channel_pods(self, read: Callable[[], int]) -> None:
        """Show what `read` returns as the number of pods that are heard."""
        self._heard.set_function(read)

    def channel_refused(self, reason: str) -> None:
        """Count a connection that was not taken, or was ended."""
        self._refused.labels(reason).inc()

    def channel_reported(self) -> None:
        """Count a report."""
        self._reports.inc()

    def load(self, measures: Mapping[str, float]) -> None:
        """Show what pods say of their load, and nothing else any more."""
        self._load.clear()
        for measure, value in measures.items():
            self._load.labels(measure).set(value)

    def page(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self.registry)
