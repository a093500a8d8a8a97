"""What the process itself takes: R7.1's figures of CPU and memory, read when they are asked for."""

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_SHORTEST_S = 1.0
"""Two scrapes that come at once would measure each other."""
_PAGE = resource.getpagesize()


class ProcessUse(Collector):
    """CPU since the last look, as per cent of one core, and resident memory."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        cpu_s: Callable[[], float] = time.process_time,
    ) -> None:
        self._clock = clock
        self._cpu_s = cpu_s
        self._at, self._used_s = clock(), cpu_s()
        self._percent = 0.0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield both gauges."""
        now, used_s = self._clock(), self._cpu_s()
        if now - self._at >= _SHORTEST_S:
            self._percent = 100.0 * (used_s - self._used_s) / (now - self._at)
            self._at, self._used_s = now, used_s
        yield GaugeMetricFamily(
            "multiagent_cpu_usage_percent",
            "CPU of the process since the scrape before, as per cent of one core.",
            self._percent,
        )
        yield GaugeMetricFamily(
            "multiagent_memory_usage_bytes", "Resident memory of the process.", _resident_bytes()
        )


def _resident_bytes() -> float:
    try:
        return float(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE)
    except (OSError, IndexError, ValueError):
        return float("nan")  # unknown is not zero
