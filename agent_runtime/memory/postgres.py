"""Sessions in PostgreSQL: shared by all replicas; an acknowledged turn survives kill -9 of both.

A process writes in one place: whatever has queued up becomes one call of a function in the
database, one transaction and one commit. So turns keep their order, share the wait for the disk,
and the lock on the totals is held by no round trip. Time is the server's.
"""

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from agent_runtime.memory.base import MAX_SESSION_BYTES, Retention, StoreFull, StoreUnavailable
from agent_runtime.memory.postgres_schema import APPEND, COUNT, LOAD
from agent_runtime.stores.postgres import Postgres

_MAX_BATCH = 128  # turns per transaction; keeps the wait of the first one short
_MAX_BATCH_BYTES = 8 << 20
_MAX_WAITING = 4096  # requests in flight are bounded too; this bounds what they leave behind


class PostgresSessions:
    """The store; the client is closed by who opened it."""

    def __init__(
        self,
        postgres: Postgres,
        scope: str,
        retention: Retention,
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`scope` begins every key; `clock` replaces the server's time."""
        self._postgres = postgres
        self._scope = scope
        self._retention = retention
        self._clock = clock
        self._waiting: deque[_Turn] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def load(self, key: str) -> list[bytes]:
        """Return the session's turns, oldest first."""
        rows = await self._postgres.fetch(
            LOAD, self._stored(key), self._now(), self._retention.max_turns
        )
        return [row[0] for row in reversed(rows)]

    async def append(self, key: str, turn: bytes) -> None:
        """Commit a turn, or raise `StoreFull`."""
        if len(self._waiting) >= _MAX_WAITING:
            raise StoreUnavailable("too many turns wait for PostgreSQL")
        waiting = _Turn(self._stored(key), turn)
        self._waiting.append(waiting)
        if self._writer is None:
            # of many requests: its log lines are none of the first one's
            self._writer = asyncio.create_task(
                self._write(), name="sessions", context=contextvars.Context()
            )
        outcome = await waiting.done
        if outcome != "kept":
            raise StoreFull(f"too many {outcome} in the store")

    async def count(self) -> int:
        """Return the number of live sessions."""
        ((count,),) = await self._postgres.fetch(COUNT, self._scope, self._now())
        return int(count)

    async def close(self) -> None:
        """Finish what is queued."""
        while self._writer is not None:
            await asyncio.wait((self._writer,))

    async def _write(self) -> None:
        """Write all that waits, batch by batch, and end."""
        try:
            while batch := self._next_batch():
                await self._write_batch(batch)
        finally:
            self._writer = None

    async def _write_batch(self, batch: Sequence["_Turn"]) -> None:
        kept = self._retention
        bounds = (kept.ttl_s, kept.max_turns, MAX_SESSION_BYTES, kept.max_sessions, kept.max_bytes)
        keys, bodies = [turn.key for turn in batch], [turn.body for turn in batch]
        try:
            ((outcomes,),) = await self._postgres.fetch(
                APPEND, self._scope, keys, bodies, self._now(), *bounds
            )
        except StoreUnavailable as exc:
            for turn in batch:
                turn.fail(str(exc))
            return
        for turn, outcome in zip(batch, outcomes, strict=True):
            turn.settle(outcome)

    def _next_batch(self) -> list["_Turn"]:
        batch: list[_Turn] = []
        size = 0
        while self._waiting and len(batch) < _MAX_BATCH:
            size += len(self._waiting[0].body)
            if batch and size > _MAX_BATCH_BYTES:
                break
            batch.append(self._waiting.popleft())
        return batch

    def _stored(self, key: str) -> str:
        return f"{self._scope}/sessions/{key.removeprefix(f'{self._scope}/')}"

    def _now(self) -> float | None:
        return self._clock() if self._clock else None


class _Turn:
    """A turn on its way into the database."""

    def __init__(self, key: str, body: bytes) -> None:
        self.key = key
        self.body = body
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def settle(self, outcome: str) -> None:
        with contextlib.suppress(asyncio.InvalidStateError):  # nobody waits any more
            self.done.set_result(outcome)

    def fail(self, why: str) -> None:
        with contextlib.suppress(asyncio.InvalidStateError):
            self.done.set_exception(StoreUnavailable(why))
