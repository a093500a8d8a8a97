"""Shared answers that Redis cannot read: sealed with the keys that seal sessions.

Without a usable key nothing is shared, least of all in the clear. Imported only where there are
keys: the library costs memory.
"""

from cryptography.fernet import InvalidToken

from agent_runtime.cache.shared import Shared
from agent_runtime.memory.encrypted import KeyRing, sealed


class SealedShelf:
    """Hands sealed values to another one; raises `StoreUnavailable` without a key."""

    def __init__(self, shared: Shared, ring: KeyRing) -> None:
        self._shared = shared
        self._ring = ring

    async def get(self, key: bytes) -> bytes | None:
        """Return a value, opened; None if no key opens it."""
        keys = await self._ring.keys()
        value = await self._shared.get(key)
        try:
            # at most what one answer may have: opened in a millisecond or two
            return None if value is None else keys.decrypt(value)
        except InvalidToken:
            return None

    async def put(self, key: bytes, value: bytes, seconds: float) -> None:
        """Keep a sealed value."""
        keys = await self._ring.keys()
        await self._shared.put(key, await sealed(keys, value), seconds)
