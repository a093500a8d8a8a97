"""What failed is counted and named at the end, where a cut-off log still shows it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import run, tally
from tests.runner import Runner
from tests.tally import Tally

OUTCOMES = """
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("no server")

def test_passes(): pass
def test_fails(): assert 1 + 1 == 3, "sums\\nlines"
def test_cannot_begin(broken): pass
@pytest.mark.skip
def test_waits(): pass
"""


def report_of(folder: Path, source: str, *options: str) -> Tally:
    (folder / "test_outcomes.py").write_text(source)
    report = folder / "report.xml"
    pytest_run = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *options]
    ended = subprocess.run(pytest_run, cwd=folder, check=False, capture_output=True, timeout=60)
    return tally.of_report(report, ended.returncode)


def test_each_failure_has_a_line_with_its_name_and_reason(tmp_path: Path) -> None:
    found = report_of(tmp_path, OUTCOMES)
    assert str(found) == "1 passed, 2 failed, 1 skipped"
    assert found.named == (
        "FAILED test_outcomes::test_fails: AssertionError: sums",
        'FAILED test_outcomes::test_cannot_begin: failed on setup with "RuntimeError: no server"',
    )


def test_a_stage_without_tests_has_failed(tmp_path: Path) -> None:
    found = report_of(tmp_path, "def test_passes(): pass\n", "-k", "nothing")
    assert str(found) == "0 passed, 1 failed, 0 skipped"
    assert found.named == ("FAILED pytest: exit code 5 without a failed test",)


def test_lines_of_several_stages_stay_in_order_and_short() -> None:
    found = tally.failure("make lint") + Tally(passed=2) + tally.failure("b", "x" * 500)
    assert (found.passed, found.failed) == (2, 2)
    assert found.named == ("FAILED make lint", f"FAILED b: {'x' * tally.WORDS}")


def test_the_run_ends_with_what_failed_and_then_the_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Runner) -> Tally:
        return tally.failure("make lint") + Tally(passed=3)

    monkeypatch.setattr(run, "SIDE_BY_SIDE", {"one": (run.Group({"lint": broken}),)})
    monkeypatch.setattr(run, "ALONE", ())
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["run.py", "lint"])
    assert run.main() == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "FAILED make lint",
        "3 passed, 1 failed, 0 skipped",
    ]
