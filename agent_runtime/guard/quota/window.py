"""The counter of one process.

A minute is counted in seconds: the present one and the 60 before it. So what was admitted is held
against a caller for 60 s at least and for 61 s at most: the limit is never exceeded, in any 60 s,
and a place falls free up to 1 s late. A log of every request would be exact, and as long as the
limit is high; two counters of a minute each would admit up to twice the limit around the turn.
"""

import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator

from agent_runtime.guard.quota.rates import Admitted, Rate, Refused, Span, Subject, Verdict

HELD_S = 61
"""From the beginning of a second until what it holds counts no more."""
DAY_S = 86_400
MAX_SUBJECTS = 50_000
"""Counted at the same time, in 25 MB, or 48 if each asks in every second; the one that has not
asked for longest is forgotten."""

_Key = tuple[str, str]
_MANY = 1 << 62
_BITS = 24  # of a number of requests in one second
_COUNT = (1 << _BITS) - 1
_NO_RATE = Rate()


class Window:
    """The requests of one subject. Times are in whole seconds and days; 0 is no limit."""

    __slots__ = ("_day", "_seconds", "_today", "_total")

    def __init__(self) -> None:
        # the oldest first, each a second and how many came in it; 0.5 KB when all are taken, where
        # a deque of pairs would be 7 KB
        self._seconds = array("Q")
        self._total = 0
        self._day = -1
        self._today = 0

    def left(self, rate: Rate, second: int, day: int) -> tuple[int, Span]:
        """Return how many may still come, and by which limit: the one with the least left."""
        today = rate.per_day - (self._today if day == self._day else 0)
        if not rate.per_minute:
            return today, Span.DAY
        self._forget(second)
        minute = rate.per_minute - self._total
        if rate.per_day and today < minute:
            return today, Span.DAY
        return minute, Span.MINUTE

    def add(self, second: int, day: int) -> None:
        """Count a request."""
        self._forget(second)
        if self._seconds and self._seconds[-1] >> _BITS == second:
            self._seconds[-1] += 1
        else:
            self._seconds.append((second << _BITS) + 1)
        self._total += 1
        self._today = self._today + 1 if day == self._day else 1
        self._day = day

    def waits(self, rate: Rate, now: float, utc: float) -> Iterator[tuple[Span, float, float]]:
        """Yield the limits that are reached, with the seconds until one and until all are free."""
        if rate.per_minute and self._total >= rate.per_minute:
            first, last = self._seconds[0] >> _BITS, self._seconds[-1] >> _BITS
            yield Span.MINUTE, first + HELD_S - now, last + HELD_S - now
        if rate.per_day and self._today >= rate.per_day and self._day == int(utc) // DAY_S:
            left_s = until_midnight(utc)
            yield Span.DAY, left_s, left_s

    def _forget(self, second: int) -> None:
        seconds = self._seconds
        while seconds and seconds[0] >> _BITS <= second - HELD_S:
            self._total -= seconds.pop(0) & _COUNT


class Alone:
    """Counts for this process alone."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        utc: Callable[[], float] = time.time,
        most: int = MAX_SUBJECTS,
    ) -> None:
        self._clock, self._utc = clock, utc
        self._most = most
        self._windows: OrderedDict[_Key, Window] = OrderedDict()

    async def admit(self, subjects: tuple[Subject, ...]) -> Verdict:
        """Count a request for all subjects, or for none of them."""
        return self.judge(subjects)

    def judge(self, subjects: tuple[Subject, ...]) -> Verdict:
        """Do so at once."""
        now, utc = self._clock(), self._utc()
        second, day = int(now), int(utc) // DAY_S
        windows = [self._window(subject) for subject in subjects]
        least, span, rate = _MANY, Span.MINUTE, _NO_RATE
        for subject, window in zip(subjects, windows, strict=True):
            left, by = window.left(subject.rate, second, day)
            if left < least:
                least, span, rate = left, by, subject.rate
        if least <= 0:
            return _refusal(subjects, windows, now, utc)
        for window in windows:
            window.add(second, day)
        reset_s = second + HELD_S - now if span is Span.MINUTE else until_midnight(utc)
        return Admitted(rate.limit(span), least - 1, reset_s)

    def note(self, subjects: tuple[Subject, ...]) -> None:
        """Count what somebody else has admitted."""
        second, day = int(self._clock()), int(self._utc()) // DAY_S
        for subject in subjects:
            self._window(subject).add(second, day)

    def _window(self, subject: Subject) -> Window:
        key = (subject.scope, subject.name)
        found = self._windows.get(key)
        if found is None:
            found = self._windows[key] = Window()
            if len(self._windows) > self._most:
                self._windows.popitem(last=False)
        else:
            self._windows.move_to_end(key)
        return found


def until_midnight(utc: float) -> float:
    """Return the seconds that are left of the day."""
    return DAY_S - utc % DAY_S


def _refusal(
    subjects: tuple[Subject, ...], windows: list[Window], now: float, utc: float
) -> Refused:
    """Return the refusal by the limit with the longest wait."""
    found = (
        Refused(subject.scope, span, subject.rate.limit(span), wait_s, reset_s)
        for subject, window in zip(subjects, windows, strict=True)
        for span, wait_s, reset_s in window.waits(subject.rate, now, utc)
    )
    return max(found, key=lambda refused: refused.retry_after_s)
