"""Sessions in the process's own memory: fast, and gone with the process."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from agent_runtime.memory.base import Retention, StoreFull, newest


@dataclass(slots=True)
class _Session:
    expires: float
    turns: list[bytes] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(map(len, self.turns))


class MemoryStore:
    """Ordered by newest turn, so that the expired sessions are always the first ones."""

    def __init__(
        self, retention: Retention, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._retention = retention
        self._clock = clock
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._bytes = 0

    async def load(self, key: str) -> list[bytes]:
        """Return the session's turns, oldest first."""
        self._drop_expired()
        session = self._sessions.get(key)
        return list(session.turns) if session else []

    async def append(self, key: str, turn: bytes) -> None:
        """Keep a turn, or raise `StoreFull`."""
        self._drop_expired()
        session = self._sessions.get(key) or _Session(0.0)
        before = session.size
        turns = newest([*session.turns, turn], max_turns=self._retention.max_turns)
        growth = sum(map(len, turns)) - before
        is_new = key not in self._sessions
        if is_new and len(self._sessions) >= self._retention.max_sessions:
            raise StoreFull("too many sessions")
        if growth > 0 and self._bytes + growth > self._retention.max_bytes:
            raise StoreFull("too many bytes in sessions")
        session.turns, session.expires = turns, self._clock() + self._retention.ttl_s
        self._bytes += growth
        self._sessions[key] = session
        self._sessions.move_to_end(key)

    async def count(self) -> int:
        """Return the number of live sessions."""
        self._drop_expired()
        return len(self._sessions)

    async def close(self) -> None:
        """Forget everything."""
        self._sessions.clear()
        self._bytes = 0

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._sessions:
            key, session = next(iter(self._sessions.items()))
            if session.expires > now:
                return
            self._bytes -= session.size
            del self._sessions[key]
