"""A provider's key, read from a file that may be absent at first and may change at any time.

Kubernetes projects Secrets as files and swaps them in place; a key that appears or is rotated is
used within a second, without a restart. The key itself never reaches a log or a message.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from agent_runtime import secret_files
from agent_runtime.providers.base import ErrorClass, ProviderError

_FRESH_SECONDS = 1.0  # one look at the file per second, however many requests

_log = logging.getLogger(__name__)


class KeyFile:
    """The key in a file; says once when it is missing and once when it has come."""

    def __init__(
        self,
        provider: str,
        path: Path,
        *,
        origin: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`origin` tells people where the key belongs, for example a Secret's name and key."""
        self._provider = provider
        self._path = path
        self._origin = origin
        self._clock = clock
        self._value: str | None = None
        self._read_at: float | None = None
        self._reported_missing = False

    async def is_missing(self) -> bool:
        """Return whether there is no usable key, as of a second ago at most."""
        now = self._clock()
        if self._read_at is None or now - self._read_at >= _FRESH_SECONDS:
            self._read_at = now
            # a file on a volume may be slow; the event loop must not wait for it
            self._value = await asyncio.to_thread(_read_key, self._path)
            self._report()
        return self._value is None

    async def value(self) -> str:
        """Return the key, or raise `ProviderError` (key_missing) that says where to put it."""
        if await self.is_missing() or self._value is None:
            raise ProviderError(ErrorClass.KEY_MISSING, self._provider, self._complaint())
        return self._value

    def _complaint(self) -> str:
        return f"provider {self._provider!r} has no usable key: put one in {self._origin}"

    def _report(self) -> None:
        fields = {"provider": self._provider, "origin": self._origin}
        if self._value is None and not self._reported_missing:
            _log.warning("provider key missing", extra=fields)
        elif self._value is not None and self._reported_missing:
            _log.info("provider key found", extra=fields)
        self._reported_missing = self._value is None


def _read_key(path: Path) -> str | None:
    """Return the file's single line, or None if there is none that can go into a header."""
    key = secret_files.read_line(path)
    return key if key and key.isascii() else None
