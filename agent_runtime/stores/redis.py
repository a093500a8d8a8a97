"""The client of a Redis server: connected for as long as the process lives, in the background.

Who asks while the server is away is told so at once; nobody waits for a reconnect in vain. Scripts
run by their digest. One server, or what acts as one behind a name; no Redis Cluster.
"""

import asyncio
import contextlib
import hashlib
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime.secret_files import SecretFile
from agent_runtime.stores.base import (
    CONNECT_SECONDS,
    Availability,
    StoreUnavailable,
    condition_of,
    keep_connected,
)
from agent_runtime.stores.redis_link import Link, RedisRefused, Word


@dataclass(frozen=True, slots=True)
class RedisServer:
    """Where the server is, and how it is spoken to."""

    host: str
    port: int = 6379
    tls: bool = False
    password: SecretFile | None = None
    """Read for each new connection, so that a new password needs no restart."""


class Script:
    """A Lua script; atomic, and sent in full only when the server does not know it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Redis:
    """The process's client: `start` it in a running loop, `close` it at the end."""

    def __init__(
        self, server: RedisServer, *, changed: Callable[[bool], None] = lambda _up: None
    ) -> None:
        """`changed` is told whenever the server comes (True) or goes (False)."""
        self._server = server
        self._availability = Availability("redis", changed)
        self._link: Link | None = None
        self._decided = asyncio.Event()  # set while connected, and while the server is away
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect; a server that is away is no error."""
        self._keeper = asyncio.create_task(keep_connected("redis", self._hold_one), name="redis")

    async def close(self) -> None:
        """End the connection."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._link is not None:
            self._link.close()
            await self._link.ended

    async def command(self, *words: Word) -> Any:  # bytes, an int, None, or a list of them
        """Return the reply to one command; raise `StoreUnavailable`, for errors `RedisRefused`.

        Commands that are awaited side by side travel together. After a lost connection the server
        may have done what it did not acknowledge.
        """
        link = self._link or await self._connected()
        try:
            return await link.ask(words)
        except RedisRefused as exc:
            if exc.code != "NOSCRIPT":  # ordinary: see `run`
                self._availability.refused(exc.code)
            raise

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Word] = ()) -> Any:
        """Return what a script returns; raises as `command` does."""
        rest = (len(keys), *keys, *arguments)
        try:
            return await self.command("EVALSHA", script.digest, *rest)
        except RedisRefused as exc:
            if exc.code != "NOSCRIPT":
                raise
        return await self.command("EVAL", script.text, *rest)

    async def _connected(self) -> Link:
        if not self._availability.is_away:  # before the first attempt, or just lost: soon decided
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._decided.wait()
        if self._link is None:
            raise StoreUnavailable(f"Redis cannot be used: {self._availability.why}")
        return self._link

    async def _hold_one(self) -> float:
        """Open a connection and return, when it has ended, how long it lasted."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                link = await _open(self._server)
        except (OSError, TimeoutError, StoreUnavailable) as exc:
            self._availability.went(condition_of(exc, tls=self._server.tls))
            self._decided.set()
            return 0.0
        since = time.monotonic()
        self._link = link
        self._availability.came()
        self._decided.set()
        await asyncio.wait((link.ended,))  # it outlives us when we are cancelled
        self._link = None
        self._decided.clear()
        return time.monotonic() - since


async def _open(server: RedisServer) -> Link:
    """Return a connection that has been let in; raise what says why there is none."""
    password = await server.password.line() if server.password else None
    if server.password and password is None:
        raise StoreUnavailable(f"no usable password: put one in {server.password.origin}")
    context = ssl.create_default_context() if server.tls else None
    loop = asyncio.get_running_loop()
    _, link = await loop.create_connection(Link, server.host, server.port, ssl=context)
    try:
        if password is not None:
            await link.ask(("AUTH", password))
        await link.ask(("PING",))  # one that still loads its data says so here
    except BaseException:  # cancelled too: nobody else knows of this connection
        link.close()
        raise
    return link
