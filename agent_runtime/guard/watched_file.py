"""A file that somebody else writes and may change at any time, as what it means.

Kubernetes projects Secrets and ConfigMaps as files and swaps them in place. A file that vanishes
counts at once (a deleted Secret revokes); one that cannot be read as what it should be does not: a
spelling mistake in a new version must not take from everybody what the last good one gave.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from agent_runtime.problems import Invalid, Problem

FRESH_SECONDS = 1.0  # one look at the file per second, however many requests
MAX_BYTES = 1 << 20  # no Secret and no ConfigMap holds more
_SHOWN_PROBLEMS = 5  # in one log line

T = TypeVar("T")
_Mark = tuple[int, int, int]

_log = logging.getLogger(__name__)


class WatchedFile(Generic[T]):
    """What a file holds, parsed, as of a second ago at most; None while there is no file."""

    def __init__(
        self,
        path: Path,
        parse: Callable[[bytes], T],
        *,
        what: str,
        origin: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`parse` raises `Invalid`; `what` and `origin` tell people which file this is."""
        self._path = path
        self._parse = parse
        self._fields = {"what": what, "origin": origin}
        self._clock = clock
        self._looked_at = float("-inf")
        self._mark: _Mark | None = None
        self._reported_missing = False
        self._value: T | None = None
        self.origin = origin
        self.unusable = False
        """Whether the newest version could not be read, so that an older one is used."""

    async def current(self) -> T | None:
        """Return what the file means now."""
        now = self._clock()
        if now - self._looked_at >= FRESH_SECONDS:
            self._looked_at = now
            # a file on a volume may be slow; the event loop must not wait for it
            await asyncio.to_thread(self._look)
        return self._value

    def _look(self) -> None:
        try:
            found = self._path.stat()
            mark = (found.st_ino, found.st_mtime_ns, found.st_size)
            if mark != self._mark:
                self._take(self._read())
                self._mark = mark
        except OSError:
            self._mark, self._value, self.unusable = None, None, False
            if not self._reported_missing:
                _log.warning("guard file missing", extra=self._fields)
            self._reported_missing = True

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            return file.read(MAX_BYTES + 1)

    def _take(self, raw: bytes) -> None:
        try:
            _check_size(raw)
            self._value = self._parse(raw)
        except Invalid as exc:
            self.unusable = True
            problems = [str(problem) for problem in exc.problems[:_SHOWN_PROBLEMS]]
            _log.warning("guard file unusable", extra=self._fields | {"problems": problems})
            return
        self.unusable = False
        if self._reported_missing:
            _log.info("guard file found", extra=self._fields)
        self._reported_missing = False


def _check_size(raw: bytes) -> None:
    if len(raw) > MAX_BYTES:
        raise Invalid([Problem("(whole file)", "is larger than 1 MiB", "shorten it")])
