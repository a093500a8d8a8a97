"""One secret in one file, which may be absent at first and may change at any time.

Kubernetes projects Secrets as files and swaps them in place. Lowest layer; what is read here must
never reach a log, a label or a message: those name the place it belongs to, `SecretFile.origin`.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

_MAX_BYTES = 16_384  # a key, a password or a handful of them


@dataclass(frozen=True, slots=True)
class SecretFile:
    """Where a secret is, and what people call that place."""

    path: Path
    origin: str
    """For example a Secret's name and key."""

    async def line(self) -> str | None:
        """Return the file's single line as it is now, or None if there is no usable one."""
        # a file on a volume may be slow; the event loop must not wait for it
        return await asyncio.to_thread(read_line, self.path)


def read_line(path: Path) -> str | None:
    """Return the file's single line without blanks around it, or None if there is no such line."""
    text = read_text(path)
    line = (text or "").strip()
    return line if line and line.isprintable() else None


def read_text(path: Path) -> str | None:
    """Return the file's text, or None if it cannot be read, is too large or is no text."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError:
        return None
    if len(raw) > _MAX_BYTES:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
