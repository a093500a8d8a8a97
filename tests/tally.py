"""What a stage of the test run came to: how many tests of each kind, and which of them failed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

WORDS = 400
"""Longest reason of a failure, in characters."""


@dataclass(frozen=True)
class Tally:
    """Outcome of one stage, or of several: `named` has a line for each failure that has a name."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    named: tuple[str, ...] = ()

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.named + other.named,
        )

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def failure(what: str, why: str = "") -> Tally:
    """Return one failure with its name and the first line of its reason."""
    reason = why.strip().partition("\n")[0][:WORDS]
    return Tally(failed=1, named=(f"FAILED {what}: {reason}" if reason else f"FAILED {what}",))


def of_report(report: Path, code: int) -> Tally:
    """Read the counts and the failures of pytest's JUnit report; `code` is its exit code."""
    suite = next(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314 - our own file
    total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    broken = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    named = tuple(line for case in suite.iter("testcase") for line in _failures(case))
    if code != 0 and broken == 0:
        broken = 1  # e.g. nothing collected: a stage without tests has not passed
        named = (f"FAILED pytest: exit code {code} without a failed test",)
    return Tally(max(total - broken - skipped, 0), broken, skipped, named)


def _failures(case: ET.Element) -> tuple[str, ...]:
    name = f"{case.get('classname', '').replace('.', '/')}::{case.get('name', '')}"
    found = (*case.iter("failure"), *case.iter("error"))
    return tuple(line for each in found for line in failure(name, each.get("message", "")).named)
