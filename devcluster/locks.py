"""File locks in the cluster's directory, which `down` removes with all that is in it."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from devcluster.errors import DevClusterError

POLL_S = 0.1


def try_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock, or None while somebody else does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # the directory may have been removed between open and lock
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def held(path: Path) -> bool:
    """Whether somebody holds the lock. A missing file is held by nobody."""
    if not path.exists():
        return False
    descriptor = try_lock(path)
    if descriptor is None:
        return path.exists()
    os.close(descriptor)
    return False


@contextlib.contextmanager
def locked(path: Path, what: str, limit_s: float) -> Iterator[None]:
    """Hold the lock, waiting for another command to finish."""
    end = time.monotonic() + limit_s
    while (descriptor := try_lock(path)) is None:
        if time.monotonic() > end:
            raise DevClusterError(f"another command holds {path}; {what} not done")
        time.sleep(POLL_S)
    try:
        yield
    finally:
        os.close(descriptor)
