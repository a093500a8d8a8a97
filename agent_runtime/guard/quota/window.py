"""The counter of one process.

A minute is counted in seconds: the present one and the 60 before it. So what was admitted is held
against a caller for 60 s at least and for 61 s at most: the limit is never exceeded, in any 60 s,
and a place falls free up to 1 s late. A log of every request would be exact, and as long as the
limit is high; two counters of a minute each would admit up to twice the limit around the turn.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agent_runtime.guard.quota.rates import Admitted, Rate, Refused, Span, Subject, Verdict

HELD_S = 61
"""From the beginning of a second until what it holds counts no more."""
DAY_S = 86_400
MAX_SUBJECTS = 50_000
"""Counted at the same time, 20 MB at most; the one that has not asked for longest is forgotten."""

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Reading:
    """One limit of one subject."""

    span: Span
    limit: int
    used: int
    wait_s: float
    """Until the next one falls free."""
    reset_s: float
    """Until all of them are free."""

    @property
    def left(self) -> int:
        """How many are free."""
        return self.limit - self.used


class Window:
    """The requests of one subject."""

    __slots__ = ("_day", "_seconds", "_today", "_total")

    def __init__(self) -> None:
        self._seconds: deque[list[int]] = deque()  # second and number, the oldest first
        self._total = 0
        self._day = -1
        self._today = 0

    def readings(self, rate: Rate, now: float, utc: float) -> Iterator[Reading]:
        """Yield how far the limits are used."""
        if rate.per_minute:
            self._forget(int(now) - HELD_S)
            first, last = (
                (self._seconds[0][0], self._seconds[-1][0]) if self._seconds else (now, now)
            )
            yield Reading(
                Span.MINUTE, rate.per_minute, self._total, first + HELD_S - now, last + HELD_S - now
            )
        if rate.per_day:
            day = int(utc) // DAY_S
            left_s = (day + 1) * DAY_S - utc
            used = self._today if day == self._day else 0
            yield Reading(Span.DAY, rate.per_day, used, left_s, left_s)

    def add(self, now: float, utc: float) -> None:
        """Count a request."""
        second, day = int(now), int(utc) // DAY_S
        self._forget(second - HELD_S)
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += 1
        else:
            self._seconds.append([second, 1])
        self._total += 1
        self._today = self._today + 1 if day == self._day else 1
        self._day = day

    def _forget(self, until: int) -> None:
        while self._seconds and self._seconds[0][0] <= until:
            self._total -= self._seconds.popleft()[1]


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
        windows = [self._window(subject) for subject in subjects]
        found = [
            (subject.scope, reading)
            for subject, window in zip(subjects, windows, strict=True)
            for reading in window.readings(subject.rate, now, utc)
        ]
        reached = [(scope, reading) for scope, reading in found if reading.left <= 0]
        if reached:
            scope, worst = max(reached, key=lambda pair: pair[1].wait_s)
            return Refused(scope, worst.span, worst.limit, worst.wait_s, worst.reset_s)
        for window in windows:
            window.add(now, utc)
        tightest = min((reading for _, reading in found), key=lambda reading: reading.left)
        whole_s = HELD_S - now % 1 if tightest.span is Span.MINUTE else tightest.reset_s
        return Admitted(tightest.limit, tightest.left - 1, whole_s)

    def note(self, subjects: tuple[Subject, ...]) -> None:
        """Count what somebody else has admitted."""
        now, utc = self._clock(), self._utc()
        for subject in subjects:
            self._window(subject).add(now, utc)

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
