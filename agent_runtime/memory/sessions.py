"""Sessions as an agent sees them: scoped keys, whole turns, one turn at a time.

A turn is the client's new messages and the reply to them. System messages are not kept: they
belong to the request, and would pile up.
"""

import asyncio
import itertools
import re
import urllib.parse
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson

from agent_runtime.guard.principal import ANONYMOUS, Principal
from agent_runtime.memory.base import SessionStore, StoreUnavailable

SESSION_ID = re.compile(r"[A-Za-z0-9._~:-]{1,128}")  # no "/": it separates the parts of a key
WAIT_FOR_TURN_SECONDS = 30.0  # for the turn before; a client that waits longer should retry
_RESULTS = frozenset({"tool", "function"})  # of a call in the assistant's message before them
_NOT_KEPT = frozenset({"system", "developer"})


class SessionBusy(Exception):  # the condition is the name
    """Another turn of this session has not ended yet; try again."""


def session_key(
    namespace: str, system: str, agent: str, session_id: str, owner: Principal = ANONYMOUS
) -> str:
    """Return the stored key; the first part is the cluster, "-" as long as none is configured.

    A known owner adds two parts, tenant and id, so that nobody meets a session of another owner,
    nor one from the time before owners were known.
    """
    scope = f"-/{namespace}/{system}/{agent}"
    if owner.id or owner.tenant:
        scope += f"/{_part(owner.tenant)}/{_part(owner.id)}"
    return f"{scope}/{session_id}"


def _part(text: str) -> str:
    return urllib.parse.quote(text, safe="")


class Session:
    """One session during one turn."""

    def __init__(self, store: SessionStore, key: str) -> None:
        self._store = store
        self._key = key

    async def history(self) -> list[dict[str, Any]]:
        """Return the messages of the turns that are kept, oldest first."""
        turns = await self._store.load(self._key)
        try:
            messages = [message for turn in turns for message in orjson.loads(turn)]
        except orjson.JSONDecodeError as exc:  # encryption was switched off: they wait for a key
            raise StoreUnavailable("a turn of the session cannot be read") from exc
        # the turn with the call may be forgotten, and a model refuses a result without its call
        return list(itertools.dropwhile(lambda m: m.get("role") in _RESULTS, messages))

    async def keep(self, asked: Sequence[dict[str, Any]], answered: dict[str, Any]) -> None:
        """Store a turn; when this returns it may be acknowledged."""
        kept = [message for message in asked if message.get("role") not in _NOT_KEPT]
        await self._store.append(self._key, orjson.dumps([*kept, answered]))


class Sessions:
    """Opens sessions, one turn of each at a time."""

    def __init__(
        self, store: SessionStore, namespace: str, system: str, *,
        wait_s: float = WAIT_FOR_TURN_SECONDS,
    ) -> None:  # fmt: skip
        self._store = store
        self._namespace = namespace
        self._system = system
        self._wait_s = wait_s
        # kept only while somebody holds or awaits it, so bounded by the requests in flight
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn(
        self, agent: str, session_id: str, owner: Principal = ANONYMOUS
    ) -> AsyncIterator[Session]:
        """Hold a session for one turn; raise `SessionBusy` if the turn before does not end."""
        key = session_key(self._namespace, self._system, agent, session_id, owner)
        lock, users = self._turns.get(key, (asyncio.Lock(), 0))
        self._turns[key] = (lock, users + 1)
        try:
            await self._acquire(lock, alone=users == 0)
            try:
                yield Session(self._store, key)
            finally:
                lock.release()
        finally:
            self._leave(key)

    async def count(self) -> int:
        """Return the number of sessions in the store."""
        return await self._store.count()

    async def _acquire(self, lock: asyncio.Lock, *, alone: bool) -> None:
        if alone:  # then it does not wait, and there is no time to be limited
            await lock.acquire()
            return
        try:
            async with asyncio.timeout(self._wait_s):
                await lock.acquire()
        except TimeoutError as exc:
            raise SessionBusy from exc

    def _leave(self, key: str) -> None:
        lock, users = self._turns[key]
        if users == 1:
            del self._turns[key]
        else:
            self._turns[key] = (lock, users - 1)
