"""A SQLite file of ours: closed to others, with a write-ahead log, of a schema that we know."""

import os
import sqlite3
from pathlib import Path
from typing import Literal

from agent_runtime.stores.base import StoreUnavailable

BUSY_S = 5.0
"""How long to wait for another process: the pod before us may still be closing the file."""


def opened(
    path: Path, *, schema: str, version: int, synchronous: Literal["FULL", "NORMAL"]
) -> sqlite3.Connection:
    """Return a connection for the one thread that will use it; the file is made if absent.

    FULL: a commit survives the loss of power. NORMAL: it survives `kill -9`, and takes no fsync.
    Raises sqlite3.Error, OSError, and `StoreUnavailable` for a file of a version we do not know.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(f"PRAGMA synchronous={synchronous}")
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found == 0:
        db.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version={version}; COMMIT")
    elif found != version:
        raise StoreUnavailable(
            f"written by a newer version (schema {found}; this one knows {version})"
        )
    return db
