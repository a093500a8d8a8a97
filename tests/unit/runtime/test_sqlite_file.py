"""What every SQLite file of ours has in common."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from agent_runtime.stores import sqlite_file
from agent_runtime.stores.base import StoreUnavailable

SCHEMA = "CREATE TABLE words (word TEXT NOT NULL);"
Synchronous = Literal["FULL", "NORMAL"]


def opened(path: Path, version: int = 1, synchronous: Synchronous = "FULL") -> sqlite3.Connection:
    return sqlite_file.opened(path, schema=SCHEMA, version=version, synchronous=synchronous)


def test_it_is_made_with_its_folder_for_us_alone_and_opened_again_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "words.db"
    with closing(opened(path)) as db:
        db.execute("INSERT INTO words VALUES ('kept')")
    assert path.stat().st_mode & 0o777 == 0o600
    with closing(opened(path)) as db:
        assert db.execute("SELECT word FROM words").fetchall() == [("kept",)]


@pytest.mark.parametrize(("synchronous", "number"), [("FULL", 2), ("NORMAL", 1)])
def test_commits_are_as_durable_as_asked(
    tmp_path: Path, synchronous: Synchronous, number: int
) -> None:
    with closing(opened(tmp_path / "words.db", synchronous=synchronous)) as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (number,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "words.db"
    opened(path, version=2).close()
    with pytest.raises(StoreUnavailable, match=r"newer version \(schema 2; this one knows 1\)"):
        opened(path)
