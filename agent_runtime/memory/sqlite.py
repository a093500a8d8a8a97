"""Sessions in one SQLite file: an acknowledged turn survives kill -9 and loss of power.

One thread owns the connection, so the event loop never waits for a disk. The thread takes whatever
has queued up, does it in one transaction and answers after the commit: with synchronous=FULL each
commit is an fsync, and concurrent turns share it.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_runtime.memory.base import Retention, StoreFull, StoreUnavailable, newest
from agent_runtime.stores import sqlite_file

_SCHEMA_VERSION = 1
_MAX_BATCH = 128  # operations per transaction; keeps the wait of the first one short
_PURGE_ROWS = 500  # expired sessions removed per write, so that no single write takes long

_SCHEMA = """
CREATE TABLE sessions (
    key TEXT PRIMARY KEY, expires REAL NOT NULL, next_turn INTEGER NOT NULL, bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_by_expiry ON sessions (expires);
CREATE TABLE turns (
    key TEXT NOT NULL, turn INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (key, turn)
) WITHOUT ROWID;
CREATE TABLE totals (sessions INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0);
"""


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]


class SqliteStore:
    """Built by `open_store`; every method may be called from the event loop."""

    def __init__(self, path: Path, retention: Retention, clock: Callable[[], float]) -> None:
        self._file = _File(path, retention, clock)
        # bounded by callers: a request has one job at most, and requests in flight are bounded
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="sessions", daemon=True)

    async def load(self, key: str) -> list[bytes]:
        """Return the session's turns, oldest first."""
        turns: list[bytes] = await self._do(lambda: self._file.load(key))
        return turns

    async def append(self, key: str, turn: bytes) -> None:
        """Commit a turn to the disk."""
        await self._do(lambda: self._file.append(key, turn))

    async def count(self) -> int:
        """Return the number of live sessions."""
        count: int = await self._do(self._file.count)
        return count

    async def close(self) -> None:
        """Finish what is queued and close the file."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    async def start(self) -> None:
        """Open the file; raise `StoreUnavailable` that says why it cannot be used."""
        self._thread.start()
        await self._do(self._file.open)

    async def _do(self, run: Callable[[], Any]) -> Any:  # each caller knows
        loop = asyncio.get_running_loop()
        job = _Job(run, loop, loop.create_future())
        self._jobs.put(job)
        return await job.done

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            results = self._file.run([job.run for job in batch])
            for job, result in zip(batch, results, strict=True):
                job.loop.call_soon_threadsafe(_settle, job.done, result)
        self._file.close()

    def _next_batch(self) -> list[_Job] | None:
        first = self._jobs.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < _MAX_BATCH:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)  # close after this batch
                break
            batch.append(job)
        return batch


async def open_store(
    path: Path, retention: Retention, *, clock: Callable[[], float] = time.time
) -> SqliteStore:
    """Return a store on `path`, made if absent; wall-clock time, since expiry outlives us."""
    store = SqliteStore(path, retention, clock)
    await store.start()
    return store


def _settle(done: asyncio.Future[Any], result: Any) -> None:
    if done.done():  # the request was cancelled meanwhile; what is committed stays
        return
    if isinstance(result, Exception):
        done.set_exception(result)
    else:
        done.set_result(result)


class _File:
    """The database itself; used by the store's thread only."""

    def __init__(self, path: Path, retention: Retention, clock: Callable[[], float]) -> None:
        self._path = path
        self._retention = retention
        self._clock = clock
        self._db: sqlite3.Connection | None = None

    def run(self, jobs: list[Callable[[], Any]]) -> list[Any]:
        """Do the jobs in one transaction; return each one's result, or the error it met."""
        try:
            if self._db is None:
                return [job() for job in jobs]  # only `open` comes before there is a database
            self._db.execute("BEGIN IMMEDIATE")
            results = [_result_of(job) for job in jobs]
            self._db.execute("COMMIT")
        except (sqlite3.Error, OSError, StoreUnavailable) as exc:
            self._roll_back()
            # the text names a condition ("disk is full"), never a value
            return [StoreUnavailable(f"session store {self._path}: {exc}")] * len(jobs)
        except Exception as exc:  # noqa: BLE001  # without its thread the store would never answer
            self._roll_back()
            name = type(exc).__name__  # its text may be a value
            return [StoreUnavailable(f"session store {self._path}: {name}")] * len(jobs)
        return results

    def open(self) -> None:
        self._db = sqlite_file.opened(
            self._path, schema=_SCHEMA, version=_SCHEMA_VERSION, synchronous="FULL"
        )

    def load(self, key: str) -> list[bytes]:
        row = self._one("SELECT expires FROM sessions WHERE key = ?", key)
        if row is None or row[0] <= self._clock():
            return []
        return self._turns(key)

    def append(self, key: str, turn: bytes) -> None:
        now = self._clock()
        self._purge(now)
        row = self._one("SELECT expires, next_turn, bytes FROM sessions WHERE key = ?", key)
        if row is not None and row[0] <= now:
            self._remove([key])
            row = None
        number, before = (row[1], row[2]) if row else (0, 0)
        kept = newest([*self._turns(key), turn], max_turns=self._retention.max_turns)
        size = sum(map(len, kept))
        self._require_room(is_new=row is None, growth=size - before)
        db = self._connection()
        db.execute("INSERT INTO turns VALUES (?, ?, ?)", (key, number, turn))
        db.execute("DELETE FROM turns WHERE key = ? AND turn <= ?", (key, number - len(kept)))
        db.execute(
            "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?)",
            (key, now + self._retention.ttl_s, number + 1, size),
        )
        db.execute(
            "UPDATE totals SET sessions = sessions + ?, bytes = bytes + ?",
            (int(row is None), size - before),
        )

    def count(self) -> int:
        row = self._one("SELECT count(*) FROM sessions WHERE expires > ?", self._clock())
        return int(row[0]) if row else 0

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    def _require_room(self, *, is_new: bool, growth: int) -> None:
        row = self._one("SELECT sessions, bytes FROM totals")
        sessions, size = row if row else (0, 0)
        if is_new and sessions >= self._retention.max_sessions:
            raise StoreFull("too many sessions")
        if growth > 0 and size + growth > self._retention.max_bytes:
            raise StoreFull("too many bytes in sessions")

    def _purge(self, now: float) -> None:
        rows = self._connection().execute(
            "SELECT key FROM sessions WHERE expires <= ? LIMIT ?", (now, _PURGE_ROWS)
        )
        self._remove([key for (key,) in rows.fetchall()])

    def _remove(self, keys: list[str]) -> None:
        for key in keys:
            row = self._one("DELETE FROM sessions WHERE key = ? RETURNING bytes", key)
            self._connection().execute("DELETE FROM turns WHERE key = ?", (key,))
            self._connection().execute(
                "UPDATE totals SET sessions = sessions - 1, bytes = bytes - ?",
                (row[0] if row else 0,),
            )

    def _turns(self, key: str) -> list[bytes]:
        rows = self._connection().execute(
            "SELECT body FROM turns WHERE key = ? ORDER BY turn", (key,)
        )
        return [body for (body,) in rows]

    def _one(self, sql: str, *values: object) -> Any:  # a row or None
        return self._connection().execute(sql, values).fetchone()

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreUnavailable("not open")
        return self._db

    def _roll_back(self) -> None:
        if self._db is not None and self._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # the next BEGIN tells whether it is usable
                self._db.execute("ROLLBACK")


def _result_of(job: Callable[[], Any]) -> Any:
    try:
        return job()
    except StoreFull as exc:  # found before anything was written: the others may go on
        return exc
