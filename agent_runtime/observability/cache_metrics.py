"""The metrics of the answer cache; docs/cache.md says how to read them."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

_LEVELS = {
    "hit": "process",
    "hit-shared": "redis",
    "hit-stale": "stale",
    "hit-joined": "flight",
}


class CacheMetrics:
    """One instance per process, in the process's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        reg = registry
        self._hits = Counter(
            "agent_cache_hits", "Requests answered from memory, by where it was found.",
            ["agent", "level"], registry=reg,
        )  # fmt: skip
        self._misses = Counter(
            "agent_cache_misses", "Requests whose answer was not known.", ["agent"], registry=reg
        )
        self._bypasses = Counter(
            "agent_cache_bypasses", "Requests that the cache has no part in.", ["agent"],
            registry=reg,
        )  # fmt: skip
        self.evictions = Counter(
            "agent_cache_evictions", "Answers that had to go to make room.", registry=reg
        )
        self.away = Counter(
            "agent_cache_unavailable", "Times that Redis did not answer in time, or could not.",
            registry=reg,
        )  # fmt: skip
        self._entries = Gauge("agent_cache_entries", "Answers in memory.", registry=reg)
        self._bytes = Gauge("agent_cache_bytes", "What they take.", registry=reg)
        self._series: dict[tuple[str, str], Counter] = {}

    def measures(self, entries: Callable[[], int], size: Callable[[], int]) -> None:
        """Read the gauges from those when they are asked for."""
        self._entries.set_function(entries)
        self._bytes.set_function(size)

    def took_part(self, agent: str, outcome: str) -> None:
        """Count one request; `outcome` is a `receipt.Cache`."""
        series = self._series.get((agent, outcome))
        if series is None:
            series = self._series[agent, outcome] = self._child(agent, outcome)
        series.inc()

    def _child(self, agent: str, outcome: str) -> Counter:
        if level := _LEVELS.get(outcome):
            return self._hits.labels(agent, level)
        return (self._misses if outcome == "miss" else self._bypasses).labels(agent)
