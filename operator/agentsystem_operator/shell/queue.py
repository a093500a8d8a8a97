"""Which system is due next: a deduplicated queue with one flight per key and two lanes.

What people asked for (`add`) comes before what the cluster reports of its own work (`follow`,
`soon`), but each fourth key is of the second lane while both wait, so that neither starves. What is
asked for again and again comes once a second: it must not take the others' share.

Invariants: a key is never worked on twice at once; a key added while it is worked on is worked on
again afterwards; a paused queue hands out nothing; every delay is bounded. One timer serves all
delays but those of `soon` and `add`. Time is the event loop's.
"""

import asyncio
import heapq
import itertools
import random
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.5, 30.0
"""Faults of one object: half a second, doubled up to half a minute. Whatever stood in the way tells
nobody when it is gone, and a system must be right 30 s later; two or three requests each time are
little even for many systems that are refused."""
OUTAGE_MAX_S = 10.0
"""Faults of the apiserver: once it answers, everything must be under way again soon."""
SOON_S = 0.2
"""A Deployment's controller writes several times within some ten milliseconds: one pass for all."""
APART_S = 1.0
"""Between two passes of a key that somebody asks for: all that is asked meanwhile is one pass."""
SHARE = 4
"""One key in so many is of the second lane, however long the first one is."""
DELAY_MAX_S = 3600.0
"""Nobody asks to look again later than that; a clock that jumped might."""
_DOUBLINGS_MAX = 20

K = TypeVar("K", bound=Hashable)


def backoff(faults: int, *, most_s: float, jitter: float) -> float:
    """Return the delay after the n-th fault in a row, between its half and its whole.

    delay = min(0.5 s * 2^(n-1), most) * (1 + jitter) / 2; 4th fault, jitter 0.5 -> 3 s.
    """
    whole = min(BACKOFF_FIRST_S * 2.0 ** min(faults - 1, _DOUBLINGS_MAX), most_s)
    return whole * (1 + jitter) / 2


class Queue(Generic[K]):
    """Keys that are due, each lane in the order in which they became due."""

    def __init__(
        self,
        *,
        waited: Callable[[float], None] = lambda _: None,
        jitter: Callable[[], float] = random.random,
        apart_s: float = APART_S,
    ) -> None:
        self._waited = waited
        self._jitter = jitter
        self._apart_s = apart_s
        self._asked: OrderedDict[K, float] = OrderedDict()
        """When each key was last taken from the first lane, for as long as it matters."""
        self._again: dict[K, asyncio.TimerHandle] = {}
        """Keys that are asked for too early; until then they are in no lane."""
        self._due: dict[K, float] = {}
        self._behind: dict[K, float] = {}
        """The second lane; no key is in both."""
        self._running: set[K] = set()
        self._dirty: dict[K, bool] = {}
        """Keys to be worked on again, and whether in the first lane."""
        self._soon: dict[K, asyncio.TimerHandle] = {}
        self._soon_after: set[K] = set()
        """Keys that are worked on and are due in a moment after that."""
        self._taken = 0
        self._heap: list[tuple[float, int, K]] = []
        self._when: dict[K, float] = {}
        self._ticket = itertools.count()
        self._faults: dict[K, int] = {}
        self._outages: dict[K, int] = {}
        self._ready = asyncio.Event()
        self.quiet = asyncio.Event()
        """Set while nothing is worked on."""
        self.quiet.set()
        self._timer: asyncio.TimerHandle | None = None
        self.paused = False
        self._closed = False
        self._moved_at = 0.0

    @property
    def depth(self) -> int:
        """Return how many keys wait for a worker now."""
        return len(self._due) + len(self._behind)

    @property
    def stalled_s(self) -> float:
        """Return for how long nothing was handed out or given back although something is due."""
        return _now() - self._moved_at if self.depth else 0.0

    @property
    def running(self) -> int:
        """Return how many keys are worked on now."""
        return len(self._running)

    def moved(self) -> None:
        """Note that there is progress, or that it could begin only now."""
        self._moved_at = _now()

    def add(self, key: K) -> None:
        """Make a key due now, in the first lane: somebody waits for what becomes of it."""
        if key in self._running:
            self._dirty[key] = True
        elif key in self._due or key in self._again:
            return
        elif (early := self._asked.get(key, -self._apart_s) + self._apart_s - _now()) > 0:
            self._behind.pop(key, None)
            loop = asyncio.get_running_loop()
            self._again[key] = loop.call_later(early, self._came_again, key)
        else:
            self._begin()
            self._due[key] = self._behind.pop(key, _now())
            self._signal()

    def _came_again(self, key: K) -> None:
        del self._again[key]
        self.add(key)

    def follow(self, key: K) -> None:
        """Make a key due now, in the second lane: the cluster went on."""
        if key in self._running:
            self._dirty.setdefault(key, False)
        elif not any(key in those for those in (self._due, self._behind, self._again)):
            self._begin()
            self._behind[key] = _now()
            self._signal()

    def soon(self, key: K) -> None:
        """Make a key due in a moment, in the second lane, unless it is taken up before.

        While it is worked on the moment begins when it is given back: a pass is told of its own
        writes, and of what the cluster makes of the first ones before the last are done.
        """
        if key in self._running:
            self._soon_after.add(key)
        elif key not in self._soon:
            loop = asyncio.get_running_loop()
            self._soon[key] = loop.call_later(SOON_S, self._came, key)

    def _came(self, key: K) -> None:
        del self._soon[key]
        self.follow(key)

    def _begin(self) -> None:
        if not self.depth:
            self.moved()

    def schedule(self, key: K, delay_s: float | None) -> None:
        """Make a key due in a while, in place of what was scheduled before; None: not at all."""
        if delay_s is None:
            self._when.pop(key, None)
            return
        when = _now() + min(max(delay_s, 0.0), DELAY_MAX_S)
        self._when[key] = when
        heapq.heappush(self._heap, (when, next(self._ticket), key))
        self._arm()

    async def take(self) -> K:
        """Return the key that is due the longest in its lane; its holder must call `done`."""
        while self.paused or self._closed or not self.depth:
            self._ready.clear()
            await self._ready.wait()
        self._taken += 1
        lane = self._behind if not self._due or self._is_seconds_turn() else self._due
        key, since = next(iter(lane.items()))
        del lane[key]
        if early := self._soon.pop(key, None):
            early.cancel()  # whatever was seen until now is before the eyes of this pass
        if lane is self._due:
            self._note_asked(key)
        self._running.add(key)
        self.quiet.clear()
        self._waited(_now() - since)
        self.moved()
        return key

    def done(self, key: K) -> None:
        """Give a key back; it is due again at once if it was added meanwhile."""
        self.moved()
        self._running.discard(key)
        if not self._running:
            self.quiet.set()
        match self._dirty.pop(key, None):
            case True:
                self.add(key)
            case False:
                self.follow(key)
            case None if key in self._soon_after:
                self.soon(key)
        self._soon_after.discard(key)

    def _note_asked(self, key: K) -> None:
        now = _now()
        self._asked[key] = now
        self._asked.move_to_end(key)
        while next(iter(self._asked.values())) < now - self._apart_s:
            self._asked.popitem(last=False)

    def _is_seconds_turn(self) -> bool:
        return bool(self._behind) and self._taken % SHARE == 0

    def succeeded(self, key: K) -> None:
        """Forget a key's faults."""
        self._faults.pop(key, None)
        self._outages.pop(key, None)

    def failed(self, key: K) -> float:
        """Schedule a key after a fault of its own; returns the delay."""
        faults = self._faults[key] = self._faults.get(key, 0) + 1
        delay = backoff(faults, most_s=BACKOFF_MAX_S, jitter=self._jitter())
        self.schedule(key, delay)
        return delay

    def unreachable(self, key: K) -> float:
        """Schedule a key after a fault of the apiserver; returns the delay."""
        outages = self._outages[key] = self._outages.get(key, 0) + 1
        delay = backoff(outages, most_s=OUTAGE_MAX_S, jitter=self._jitter())
        self.schedule(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """Drop all memory of a key that does not exist any more."""
        for timers in (self._soon, self._again):
            if early := timers.pop(key, None):
                early.cancel()
        self._soon_after.discard(key)
        self.succeeded(key)
        self.schedule(key, None)

    def pause(self) -> None:
        """Hand out nothing until `resume`."""
        self.paused = True

    def resume(self, *, after_outage: bool) -> None:
        """Go on; after a real outage with everything that it held up, at once."""
        self.paused = False
        self.moved()
        if after_outage:
            for key in list(self._outages):
                del self._outages[key]
                self.schedule(key, None)
                self.follow(key)
        self._signal()

    def close(self) -> None:
        """Hand out nothing ever again."""
        self._closed = True

    def _signal(self) -> None:
        if self.depth and not self.paused and not self._closed:
            self._ready.set()

    def _arm(self) -> None:
        while self._heap and self._when.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # replaced or cancelled meanwhile
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer = asyncio.get_running_loop().call_at(self._heap[0][0], self._release)

    def _release(self) -> None:
        now = _now()
        while self._heap and self._heap[0][0] <= now:
            when, _, key = heapq.heappop(self._heap)
            if self._when.get(key) == when:
                del self._when[key]
                self.follow(key)
        self._arm()


def _now() -> float:
    return asyncio.get_running_loop().time()
