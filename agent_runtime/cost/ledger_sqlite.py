"""The ledger in one SQLite file, for an agent that has a volume and one pod.

One thread owns the connection, so the event loop never waits for a disk. With synchronous=NORMAL a
commit survives `kill -9` of the process; a node that loses power may forget the newest charges: an
fsync for each answer would cost more than they do.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from agent_runtime.cost.budget import Totals
from agent_runtime.cost.ledger import LEASE_S, REMEMBERED_S
from agent_runtime.stores import sqlite_file
from agent_runtime.stores.base import StoreUnavailable

Result = TypeVar("Result")

_VERSION = 1
_SCHEMA = """
CREATE TABLE periods (
    period TEXT PRIMARY KEY, settled INTEGER NOT NULL, reserved INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE holds (
    hold TEXT PRIMARY KEY, period TEXT NOT NULL, nano INTEGER, until REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX holds_by_end ON holds (until);
"""
"""A hold without an amount is settled, and remembered for a while."""


class SqliteLedger:
    """Built by `open_ledger`."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._file = _File(path, clock)
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    async def reserve(self, period: str, hold: str, nano: int, cap: int) -> tuple[bool, Totals]:
        """See `Ledger`."""
        return await self._do(lambda: self._file.reserve(period, hold, nano, cap))

    async def settle(self, period: str, hold: str, nano: int) -> Totals:
        """See `Ledger`."""
        return await self._do(lambda: self._file.settle(period, hold, nano))

    async def renew(self, period: str, holds: Iterable[str]) -> Totals:
        """See `Ledger`."""
        names = list(holds)
        return await self._do(lambda: self._file.renew(period, names))

    async def open(self) -> None:
        """Open the file, made if absent."""
        await self._run(self._file.open)

    async def close(self) -> None:
        """Finish what is queued and close the file."""
        await self._run(self._file.close)
        self._thread.shutdown(wait=False)

    async def _do(self, job: Callable[[], Result]) -> Result:
        return await self._run(lambda: self._file.in_transaction(job))

    async def _run(self, job: Callable[[], Result]) -> Result:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, job)
        except (sqlite3.Error, OSError, StoreUnavailable) as exc:
            # the text names a condition ("disk is full"), never a value
            raise StoreUnavailable(f"ledger {self._path}: {exc}") from exc


async def open_ledger(path: Path, *, clock: Callable[[], float] = time.time) -> SqliteLedger:
    """Return a ledger on `path`; wall-clock time, since leases outlive us."""
    ledger = SqliteLedger(path, clock)
    await ledger.open()
    return ledger


class _File:
    """The database itself; used by the ledger's thread only."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._db: sqlite3.Connection | None = None

    def open(self) -> None:
        self._db = sqlite_file.opened(
            self._path, schema=_SCHEMA, version=_VERSION, synchronous="NORMAL"
        )

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    def in_transaction(self, job: Callable[[], Result]) -> Result:
        db = self._connection()
        db.execute("BEGIN IMMEDIATE")
        try:
            self._sweep()
            result = job()
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
        return result

    def reserve(self, period: str, hold: str, nano: int, cap: int) -> tuple[bool, Totals]:
        db = self._connection()
        if db.execute("SELECT 1 FROM holds WHERE hold = ?", (hold,)).fetchone():
            return True, self._totals(period)
        before = self._totals(period)
        if before.used + nano > cap:
            return False, before
        until = self._clock() + LEASE_S
        db.execute("INSERT INTO holds VALUES (?, ?, ?, ?)", (hold, period, nano, until))
        self._add(period, 0, nano)
        return True, self._totals(period)

    def settle(self, period: str, hold: str, nano: int) -> Totals:
        db = self._connection()
        row = db.execute("SELECT nano FROM holds WHERE hold = ?", (hold,)).fetchone()
        if row is None or row[0] is not None:
            self._add(period, nano, -(row[0] if row else 0))
            until = self._clock() + REMEMBERED_S
            db.execute("INSERT OR REPLACE INTO holds VALUES (?, ?, NULL, ?)", (hold, period, until))
        return self._totals(period)

    def renew(self, period: str, holds: list[str]) -> Totals:
        until = self._clock() + LEASE_S
        self._connection().executemany(
            "UPDATE holds SET until = ? WHERE hold = ? AND nano IS NOT NULL",
            [(until, hold) for hold in holds],
        )
        return self._totals(period)

    def _sweep(self) -> None:
        gone = self._connection().execute(
            "DELETE FROM holds WHERE until <= ? RETURNING period, nano", (self._clock(),)
        )
        for period, nano in gone.fetchall():
            if nano is not None:
                self._add(period, 0, -nano)

    def _add(self, period: str, settled: int, reserved: int) -> None:
        self._connection().execute(
            "INSERT INTO periods VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
            " settled = settled + excluded.settled, reserved = reserved + excluded.reserved",
            (period, settled, reserved),
        )

    def _totals(self, period: str) -> Totals:
        row = (
            self._connection()
            .execute("SELECT settled, reserved FROM periods WHERE period = ?", (period,))
            .fetchone()
        )
        return Totals(*row) if row else Totals()

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreUnavailable("the ledger is not open")
        return self._db
