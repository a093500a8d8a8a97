"""Sessions that no store can read: each turn is a Fernet token, sealed before it leaves us.

A key ring is a file of Fernet keys, one a line: the first seals, all of them open. Without a usable
key nothing is stored, least of all in the clear.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from agent_runtime.memory.base import KeyMissing, SessionStore
from agent_runtime.secret_files import SecretFile

MAX_KEYS = 10  # opening tries one after the other
_FRESH_SECONDS = 1.0  # one look at the file per second, however many requests
_SHORT_BYTES = 65_536  # takes a fraction of a millisecond; more is done beside the event loop
_TOKEN = b"gAAAA"  # how a token begins; a turn is a JSON list and never does

_log = logging.getLogger(__name__)


class KeyRing:
    """The keys in a file, which may come late and change at any time."""

    def __init__(
        self,
        file: SecretFile,
        *,
        missing: Callable[[bool], None] = lambda _missing: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`missing` is told after each look whether there is no usable key."""
        self._file = file
        self._missing = missing
        self._clock = clock
        self._text: str | None = None
        self._keys: MultiFernet | None = None
        self._read_at: float | None = None
        self._reported_missing = False

    async def keys(self) -> MultiFernet:
        """Return the keys as of a second ago at most; raise `KeyMissing` if there are none.

        A file with one line that is no key has no usable key: a half-made change seals nothing.
        """
        now = self._clock()
        if self._read_at is None or now - self._read_at >= _FRESH_SECONDS:
            self._read_at = now
            text = await self._file.text()
            if text is None or text != self._text:
                self._text, self._keys = text, _parsed(text or "")
            self._report()
        if self._keys is None:
            raise KeyMissing(f"sessions have no usable key: put one in {self._file.origin}")
        return self._keys

    def _report(self) -> None:
        is_missing = self._keys is None
        self._missing(is_missing)
        if is_missing and not self._reported_missing:
            _log.warning("session key missing", extra={"origin": self._file.origin})
        elif self._reported_missing and not is_missing:
            _log.info("session key found", extra={"origin": self._file.origin})
        self._reported_missing = is_missing


class EncryptedSessions:
    """A store that hands sealed turns to another one."""

    def __init__(self, store: SessionStore, ring: KeyRing) -> None:
        self._store = store
        self._ring = ring

    async def load(self, key: str) -> list[bytes]:
        """Return the session's turns, opened; raise `KeyMissing` if no key opens one of them."""
        keys = await self._ring.keys()
        turns = await self._store.load(key)
        if sum(map(len, turns)) > _SHORT_BYTES:
            return await asyncio.to_thread(_opened, keys, turns)
        return _opened(keys, turns)

    async def append(self, key: str, turn: bytes) -> None:
        """Keep a sealed turn; raise `KeyMissing`, and keep nothing, without a key."""
        keys = await self._ring.keys()
        await self._store.append(key, await sealed(keys, turn))

    async def count(self) -> int:
        """Return the number of live sessions."""
        return await self._store.count()

    async def close(self) -> None:
        """Close the store below."""
        await self._store.close()


async def sealed(keys: MultiFernet, value: bytes) -> bytes:
    """Return a value as the first of the keys seals it."""
    if len(value) > _SHORT_BYTES:
        return await asyncio.to_thread(keys.encrypt, value)
    return keys.encrypt(value)


def _parsed(text: str) -> MultiFernet | None:
    lines = text.split()
    if not 1 <= len(lines) <= MAX_KEYS:
        return None
    try:
        return MultiFernet([Fernet(line) for line in lines])
    except ValueError:
        return None


def _opened(keys: MultiFernet, turns: Sequence[bytes]) -> list[bytes]:
    try:
        # what was stored before encryption was asked for is read until it expires
        return [keys.decrypt(turn) if turn.startswith(_TOKEN) else turn for turn in turns]
    except InvalidToken as exc:
        raise KeyMissing(
            "no key opens this session: keep a former key below the new one until what it has"
            " sealed has expired"
        ) from exc
