"""The verdicts of a run as a table: pattern, case, seeds, result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from tests.chaos.trial import Verdict

MARGIN = 4


def rows(verdicts: Iterable[Verdict], patterns: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return one row per pattern and story: its cases, seeds, result, and slowest settling."""
    ordered = sorted(verdicts, key=_group)
    return [
        _row(patterns[letter], story, list(found))
        for (letter, story), found in groupby(ordered, key=_group)
    ]


def markdown(found: Sequence[tuple[str, ...]]) -> str:
    """Return the rows as a Markdown table."""
    head = ("pattern", "story", "cases", "seeds", "passed", "slowest to settle")
    lines = [" | ".join(row) for row in (head, tuple("---" for _ in head), *found)]
    return "\n".join(f"| {line} |" for line in lines)


def _group(verdict: Verdict) -> tuple[str, str]:
    return verdict.sweep, verdict.case.partition("/")[0]


def _row(pattern: str, story: str, found: Sequence[Verdict]) -> tuple[str, ...]:
    cases = len({verdict.case for verdict in found})
    seeds = ", ".join(str(seed) for seed in sorted({verdict.seed for verdict in found}))
    passed = sum(verdict.passed for verdict in found)
    slowest = max(verdict.settled_s for verdict in found)
    return pattern, story, str(cases), seeds, f"{passed} of {len(found)}", f"{slowest:.0f} s"


def told(verdict: Verdict) -> str:
    """Return how a case ended, and what is wrong, line by line."""
    result = "ok  " if verdict.passed else "FAIL"
    first = (
        f"{result} {verdict.sweep} {verdict.case} seed {verdict.seed}:"
        f" settled {verdict.settled_s:.1f} s, took {verdict.took_s:.0f} s"
    )
    return "\n".join([first, *(f"       {line}" for line in verdict.wrong)])
