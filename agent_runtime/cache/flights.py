"""Single flight: of those who ask the same at the same time one asks a model, the others wait.

Invariant: whoever waits is never told of the failure of the one who asks, and never waits for
longer than `PATIENCE_S`; then it asks for itself.
"""

import asyncio
from enum import Enum
from types import TracebackType

from agent_runtime.providers.base import Answer

PATIENCE_S = 30.0
"""As long as a provider may be silent; the slow reader of a stream must not hold up all others."""


class Ended(Enum):
    """How a flight ends that brings no answer for others."""

    GIVEN_UP = "given up"  # its client left: one of those who wait goes on for all
    ALONE = "alone"  # it failed, or its answer is for itself: each asks for itself


_Landing = asyncio.Future[Answer | Ended]


class Flights:
    """All flights of a process, by key."""

    def __init__(self, *, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._landings: dict[bytes, _Landing] = {}

    def __len__(self) -> int:
        return len(self._landings)

    async def joined(self, key: bytes) -> Answer | None:
        """Return the answer that somebody else is asking for; None: ask for yourself."""
        if key not in self._landings:
            return None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_s
        while landing := self._landings.get(key):
            await asyncio.wait([landing], timeout=deadline - loop.time())
            if not landing.done():
                return None
            match landing.result():
                case Answer() as answer:
                    return answer
                case Ended.ALONE:
                    return None
                case Ended.GIVEN_UP:
                    continue  # another one of us may have begun already
        return None

    def begin(self, key: bytes) -> "Flight":
        """Return a flight that others join, or one by itself if there is one of this key."""
        if key in self._landings:
            return Flight(self._landings, key, None)
        landing = self._landings[key] = asyncio.get_running_loop().create_future()
        return Flight(self._landings, key, landing)


class Flight:
    """One request for an answer; leaving the block ends it."""

    def __init__(
        self, landings: dict[bytes, _Landing], key: bytes, landing: _Landing | None
    ) -> None:
        self._landings = landings
        self._key = key
        self._landing = landing

    def __enter__(self) -> "Flight":
        return self

    def land(self, answer: Answer) -> None:
        """Give the answer to those who wait."""
        self._end(answer)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _exc: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        gone = kind is not None and not issubclass(kind, Exception)  # cancelled, or closed early
        self._end(Ended.GIVEN_UP if gone else Ended.ALONE)

    def _end(self, result: Answer | Ended) -> None:
        landing, self._landing = self._landing, None
        if landing is not None:
            del self._landings[self._key]
            landing.set_result(result)
