"""The client of a PostgreSQL database: a few connections, kept in order in the background.

Who asks while the server is away is told so at once; nobody waits for a reconnect in vain.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types

from agent_runtime.secret_files import SecretFile
from agent_runtime.stores.base import (
    CONNECT_SECONDS,
    REPLY_SECONDS,
    Availability,
    StoreUnavailable,
    condition_of,
    keep_connected,
)

# per process; a server allows some hundred in all, and a hundred pods may share it
MAX_CONNECTIONS = 4
_IN_ORDER = (
    # a commit that is acknowledged is on the disk; a stricter setting of the database stays
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)
_LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
)
"""What means that there is no connection, or that it is of no more use."""
_GOING = (
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby now: the name may lead to another server
)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """Where the database is, and who asks it."""

    host: str
    port: int
    database: str
    user: str
    tls: bool = False
    password: SecretFile | None = None
    """Read for each new connection, so that a new password needs no restart."""


Connection = Any  # asyncpg.Connection; its generics differ between versions


class Postgres:
    """The process's client: `start` it in a running loop, `close` it at the end."""

    def __init__(
        self,
        server: PostgresServer,
        *,
        prepare: Callable[[Connection], Awaitable[None]],
        changed: Callable[[bool], None] = lambda _up: None,
    ) -> None:
        """`prepare` makes the tables, with the first connection; `changed`: see `Redis`."""
        self._server = server
        self._prepare = prepare
        self._is_prepared = False
        self._availability = Availability("postgres", changed)
        self._idle: list[Connection] = []
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._decided = asyncio.Event()  # set while it can be used, and while it is away
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect; a server that is away is no error."""
        self._keeper = asyncio.create_task(keep_connected("postgres", self._hold), name="postgres")

    async def close(self) -> None:
        """End all connections; nobody may be asking any more."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        while self._idle:
            with contextlib.suppress(*_LOST):
                await self._idle.pop().close(timeout=CONNECT_SECONDS)

    async def fetch(self, statement: str, *values: object) -> list[Any]:  # of asyncpg.Record
        """Return the rows of one statement, committed; raise `StoreUnavailable`.

        After a lost connection the server may have done what it did not acknowledge.
        """
        await self._wait_until_decided()
        try:
            async with self._connection() as connection, asyncio.timeout(REPLY_SECONDS):
                rows: list[Any] = await connection.fetch(statement, *values)
                return rows
        except _LOST as exc:
            self._lose()
            raise StoreUnavailable(f"PostgreSQL was lost: {type(exc).__name__}") from exc
        except asyncpg.PostgresError as exc:
            if isinstance(exc, _GOING):
                self._lose()
            self._availability.refused(_name_of(exc))
            raise StoreUnavailable(f"PostgreSQL refused: {_name_of(exc)}") from exc

    async def _wait_until_decided(self) -> None:
        if not self._decided.is_set():  # before the first attempt, or just lost: soon decided
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._decided.wait()
        if self._availability.is_away or not self._decided.is_set():
            raise StoreUnavailable(f"PostgreSQL cannot be used: {self._availability.why}")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                await self._slots.acquire()
        except TimeoutError as exc:
            raise StoreUnavailable("all connections to PostgreSQL are busy") from exc
        try:
            connection = self._idle.pop() if self._idle else await self._open()
            try:
                yield connection
            except BaseException as exc:  # also when we are cancelled: it may be amid an answer
                if not isinstance(exc, asyncpg.PostgresError) or isinstance(exc, (*_LOST, *_GOING)):
                    connection.terminate()
                else:  # one statement was refused
                    self._idle.append(connection)
                raise
            self._idle.append(connection)
        finally:
            self._slots.release()

    def _lose(self) -> None:
        """Give up all connections: what broke one has most likely broken the others."""
        while self._idle:
            self._idle.pop().terminate()
        self._decided.clear()
        self._lost.set()

    async def _hold(self) -> float:
        """Connect, and return when the server is lost how long it was there."""
        try:
            connection = await self._open()
        except (*_LOST, asyncpg.PostgresError, StoreUnavailable) as exc:
            refused = isinstance(exc, asyncpg.PostgresError)
            why = _name_of(exc) if refused else condition_of(exc, tls=self._server.tls)
            self._availability.went(why)
            self._decided.set()
            return 0.0
        since = time.monotonic()
        self._lost.clear()
        self._idle.append(connection)
        self._availability.came()
        self._decided.set()
        await self._lost.wait()
        return time.monotonic() - since

    async def _open(self) -> Connection:
        """Return a connection that is ready for use; raise what says why there is none."""
        place = self._server.password
        password = await place.line() if place else None
        if place and password is None:
            raise StoreUnavailable(f"no usable password: put one in {place.origin}")
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await asyncpg.connect(
                host=self._server.host,
                port=self._server.port,
                database=self._server.database,
                user=self._server.user,
                password=password or "",
                ssl=ssl.create_default_context() if self._server.tls else False,
                server_settings={"application_name": "agent-runtime"},
            )
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                await connection.execute(_IN_ORDER)
                if not self._is_prepared:
                    await self._prepare(connection)
                    self._is_prepared = True
        except BaseException:  # cancelled too: nobody else knows of this connection
            connection.terminate()
            raise
        return connection


def _name_of(exc: asyncpg.PostgresError) -> str:
    """Return the error's name; its text may quote a value."""
    return f"{type(exc).__name__.removesuffix('Error')} ({exc.sqlstate})"
