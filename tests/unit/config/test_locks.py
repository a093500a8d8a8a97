"""The locked requirements can be trusted and installed anywhere."""

from __future__ import annotations

import importlib.util
import pathlib
import types

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture
def lock() -> types.ModuleType:
    """The program that writes the locks; it is not part of a package."""
    spec = importlib.util.spec_from_file_location("lock", ROOT / "requirements/lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("role", ["dev", "operator", "runtime", "cli", "audit"])
def test_each_lock_is_current_and_clean(lock: types.ModuleType, role: str) -> None:
    assert lock.problems(role) == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("--find-links /srv/wheels", "names an address, a path or an option"),
        ("--index-url https://pypi.example.com/simple", "names an address"),
        ("thing @ https://example.com/thing.whl", "names an address"),
        ("./local", "names an address"),
        ("kubernetes==37.0.2 \\", "must not contain kubernetes"),
    ],
)
def test_a_lock_with_a_foreign_line_is_refused(
    lock: types.ModuleType,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    complaint: str,
) -> None:
    clean = (ROOT / "requirements/operator.txt").read_text()
    (tmp_path / "operator.txt").write_text(f"{clean}{line}\n")
    monkeypatch.setattr(lock, "FOLDER", tmp_path)

    (problem,) = lock.problems("operator")

    assert complaint in problem


def test_a_stale_or_missing_lock_asks_for_make_lock(
    lock: types.ModuleType, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = (ROOT / "requirements/cli.txt").read_text()
    (tmp_path / "cli.txt").write_text(current.replace(lock.inputs_digest(), "0" * 64))
    monkeypatch.setattr(lock, "FOLDER", tmp_path)

    assert lock.problems("cli") == ["cli.txt is older than pyproject.toml; run `make lock`"]
    assert lock.problems("dev") == ["dev.txt is missing; run `make lock`"]


def test_the_auditing_tools_are_locked_apart(
    lock: types.ModuleType, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their lock follows a file of its own, so that a change of ours does not touch it."""
    current = (ROOT / "requirements/audit.txt").read_text()
    (tmp_path / "audit.txt").write_text(current.replace(lock.inputs_digest("audit"), "0" * 64))
    monkeypatch.setattr(lock, "FOLDER", tmp_path)

    assert lock.problems("audit") == ["audit.txt is older than audit.in; run `make lock`"]
    assert lock.inputs_digest("audit") != lock.inputs_digest("dev")
