"""The secret behind hashes and placeholders, read from a file that a Secret is mounted as."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from agent_runtime.providers.base import ProviderError
from agent_runtime.providers.keys import KeyFile

LEAST_CHARACTERS = 16  # of a key that nobody guesses; phone numbers alone could all be tried


class KeyUnusable(Exception):  # the condition is the name
    """There is no key, or it is too short: nobody is asked anything until there is one."""


class SecretKey:
    """The key in a file, as 32 bytes."""

    def __init__(self, path: Path, *, origin: str, missing: Callable[[bool], None]) -> None:
        """`missing` is told with each look at the file whether there is no usable key."""
        self._missing = missing
        self._file = KeyFile("guard.pii", path, origin=origin)
        self._origin = origin
        self._of = ""
        self._secret = b""

    async def secret(self) -> bytes:
        """Return the secret, or raise `KeyUnusable` that says where to put it."""
        try:
            text = await self._file.value()
        except ProviderError:
            text = ""
        self._missing(len(text) < LEAST_CHARACTERS)
        if len(text) < LEAST_CHARACTERS:
            raise KeyUnusable(self._complaint())
        if text != self._of:
            self._of, self._secret = text, hashlib.sha256(text.encode()).digest()
        return self._secret

    async def is_missing(self) -> bool:
        """Return whether there is no usable key now."""
        try:
            await self.secret()
        except KeyUnusable:
            return True
        return False

    def _complaint(self) -> str:
        return (
            f"guard.pii has no usable key: put {LEAST_CHARACTERS} characters or more"
            f" in {self._origin}"
        )
