"""What a session store promises, whatever it is made of.

Invariants, kept by tests/contract/runtime/test_session_stores.py over every store:
- when `append` returns, the turn is returned by `load` until its session's ttl has passed;
- `load` returns the newest `max_turns` turns, oldest first, and no session sees another's turns;
- a store that cannot keep a turn raises; it never drops one that it has acknowledged.
"""

from dataclasses import dataclass
from typing import Protocol

from agent_runtime.stores.base import StoreUnavailable as StoreUnavailable  # for those above us

# What a session brings along with every new message: more would only be cut by the model.
# Older turns are dropped first, the newest is always kept.
MAX_SESSION_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Retention:
    """How long and how much a store keeps."""

    ttl_s: float  # after a session's newest turn
    max_turns: int
    max_sessions: int = 100_000  # a bound on disk or memory; expired ones make room first
    max_bytes: int = 1 << 30  # of all sessions together


class StoreFull(StoreUnavailable):
    """No room for another session until one expires."""


class SessionStore(Protocol):
    """Turns by session key. A turn is opaque bytes; a key is made by `sessions.session_key`."""

    async def load(self, key: str) -> list[bytes]:
        """Return the session's turns, oldest first; empty if there are none."""
        ...

    async def append(self, key: str, turn: bytes) -> None:
        """Keep a turn; it is safe when this returns."""
        ...

    async def count(self) -> int:
        """Return the number of sessions that have not expired."""
        ...

    async def close(self) -> None:
        """Release what the store holds; every acknowledged turn is kept if the store is durable."""
        ...


def newest(turns: list[bytes], *, max_turns: int) -> list[bytes]:
    """Return the newest turns within both bounds, oldest first; always at least one if any."""
    kept: list[bytes] = []
    size = 0
    for turn in reversed(turns[-max_turns:]):
        size += len(turn)
        if kept and size > MAX_SESSION_BYTES:
            break
        kept.append(turn)
    return kept[::-1]
