"""What the simulator did, so that a test can compare it with what somebody was charged.

Keys appear as the first 12 hex digits of their SHA-256, never as themselves.
"""

import functools
import hashlib
from collections.abc import Iterator

from agent_runtime.providers.base import Json
from agent_runtime.simulator.exchange import NO_USAGE, Usage

MAX_NAMES = 1_000  # of keys, models, paths each; more share one line
OTHERS = "(others)"
NO_KEY = "-"


@functools.lru_cache(maxsize=4096)
def fingerprint(key: str | None) -> str:
    """Return the name under which a key is counted."""
    return hashlib.sha256(key.encode()).hexdigest()[:12] if key else NO_KEY


class Tally:
    """The counts of one key, model or path, or of all together."""

    __slots__ = ("billed", "broken", "broken_output", "completed", "requests")

    def __init__(self) -> None:
        self.requests = self.completed = self.broken = self.broken_output = 0
        self.billed = NO_USAGE

    def as_json(self) -> Json:
        """Return the counts under the names of docs/simulator.md."""
        return {
            "requests": self.requests,
            "completed": self.completed,
            "billed": self.billed.as_json(),
            "broken": {"answers": self.broken, "outputTokens": self.broken_output},
        }


class Counts:
    """Counts since the start, or since they were reset."""

    def __init__(self) -> None:
        self.total = Tally()
        self.in_flight = 0
        self._by: dict[str, dict[str, Tally]] = {"byKey": {}, "byModel": {}, "byPath": {}}
        self._faults: dict[str, int] = {}
        self._statuses: dict[str, int] = {}

    def begin(self, path: str, model: str, key: str) -> "Ticket":
        """Count a request; the ticket counts what becomes of it."""
        names = zip(self._by.values(), (key, model, path), strict=True)
        tallies = [self.total, *(_named(group, name) for group, name in names)]
        for tally in tallies:
            tally.requests += 1
        self.in_flight += 1
        return Ticket(self, tallies)

    def struck(self, fault: str) -> None:
        """Count a fault by its kind."""
        self._faults[fault] = self._faults.get(fault, 0) + 1

    def answered(self, status: int) -> None:
        """Count an answer's status, when its headers leave."""
        self._statuses[str(status)] = self._statuses.get(str(status), 0) + 1

    def as_json(self) -> Json:
        """Return everything under the names of docs/simulator.md."""
        return {
            **self.total.as_json(),
            "inFlight": self.in_flight,
            "byFault": self._faults,
            "byStatus": self._statuses,
            **{
                by: {name: tally.as_json() for name, tally in group.items()}
                for by, group in self._by.items()
            },
        }


class Ticket:
    """One request's way through the counts; ends once."""

    __slots__ = ("_counts", "_ended", "_tallies")

    def __init__(self, counts: Counts, tallies: list[Tally]) -> None:
        self._counts = counts
        self._tallies = tallies
        self._ended = False

    def completed(self, usage: Usage) -> None:
        """Bill a whole answer."""
        for tally in self._end():
            tally.completed += 1
            tally.billed = tally.billed.plus(usage)

    def broken(self, output_tokens: int) -> None:
        """Count an answer that began, or was due, and did not reach its end."""
        for tally in self._end():
            tally.broken += 1
            tally.broken_output += output_tokens

    def refused(self) -> None:
        """Count an error that was told properly."""
        for _ in self._end():
            pass

    def _end(self) -> Iterator[Tally]:
        if self._ended:
            return
        self._ended = True
        self._counts.in_flight -= 1
        yield from self._tallies


def _named(group: dict[str, Tally], name: str) -> Tally:
    tally = group.get(name)
    if tally is None:
        tally = group.setdefault(name if len(group) < MAX_NAMES else OTHERS, Tally())
    return tally
