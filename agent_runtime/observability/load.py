"""How much this process did in the last seconds, without a clock read or an allocation to spare.

The registry's counters only grow; whoever steers by load needs the present. One slot per second,
ten of them, each with a bounded sample of durations.
"""

import math
import random
import time
from collections.abc import Callable

WINDOW_S = 10
SAMPLES = 200
"""Durations kept of each second: p95 of 2,000 in all is off by less than a hundredth of a rank."""


class _Second:
    __slots__ = ("durations", "requests", "second", "tokens")

    def __init__(self) -> None:
        self.begin(-1)

    def begin(self, second: int) -> None:
        self.second = second
        self.requests = 0
        self.tokens = 0
        self.durations: list[float] = []


class LoadWindow:
    """Requests and tokens of the last ten whole seconds."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        below: Callable[[int], int] = random.randrange,
    ) -> None:
        """`below(n)` is any number from 0 to n - 1."""
        self._clock = clock
        self._below = below
        self._began = clock()
        self._slots = [_Second() for _ in range(WINDOW_S + 1)]

    def ended(self, seconds: float) -> None:
        """Count a request."""
        slot = self._now()
        slot.requests += 1
        if len(slot.durations) < SAMPLES:
            slot.durations.append(seconds)
        elif (place := self._below(slot.requests)) < SAMPLES:
            slot.durations[place] = seconds  # each request of the second is as likely to be kept

    def used(self, tokens: int) -> None:
        """Count tokens."""
        self._now().tokens += tokens

    @property
    def rate_per_s(self) -> float:
        """Return requests a second."""
        return sum(slot.requests for slot in self._whole()) / self._span_s

    @property
    def tokens_per_s(self) -> float:
        """Return tokens a second, both directions together."""
        return sum(slot.tokens for slot in self._whole()) / self._span_s

    @property
    def p95_s(self) -> float | None:
        """Return the time that 95 of 100 requests did not exceed; None when there were none.

        Nearest rank: of 20 requests the 19th.
        """
        durations = sorted(each for slot in self._whole() for each in slot.durations)
        return durations[math.ceil(0.95 * len(durations)) - 1] if durations else None

    @property
    def _span_s(self) -> float:
        """Return what the window spans: less than ten seconds in the first ten."""
        return min(max(self._clock() - self._began, 1.0), float(WINDOW_S))

    def _now(self) -> _Second:
        second = int(self._clock())
        slot = self._slots[second % len(self._slots)]
        if slot.second != second:
            slot.begin(second)
        return slot

    def _whole(self) -> list[_Second]:
        """Return the slots that belong to the window: this second is not over yet."""
        now = int(self._clock())
        return [slot for slot in self._slots if now - WINDOW_S <= slot.second < now]
