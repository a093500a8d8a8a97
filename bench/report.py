"""Rows of numbers, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import math
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure: median and spread of its samples, beside what it is compared with."""

    what: str
    unit: str
    median: float
    low: float
    high: float
    samples: int
    compared_with: str = ""


def row(what: str, unit: str, samples: Sequence[float], *, compared_with: str = "") -> Row:
    """Summarise samples; there must be at least one."""
    middle = statistics.median(samples)
    return Row(what, unit, middle, min(samples), max(samples), len(samples), compared_with)


@dataclass(frozen=True)
class Table:
    """Figures that were taken under one load."""

    title: str
    load: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Grid:
    """Results in words."""

    title: str
    load: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the grid as a Markdown table."""
        rule = tuple("---" for _ in self.head)
        return "\n".join(f"| {' | '.join(line)} |" for line in (self.head, rule, *self.lines))


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the sample that `share` (0 to 1) of all samples do not exceed: nearest rank.

    100 samples 1..100, share 0.99 -> 99.
    """
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def show(table: Table | Grid) -> None:
    """Print a table and the load."""
    machine = f"{platform.machine()}, Linux {platform.release()}"
    print(f"\n{table.title}\nload: {table.load}; machine: {machine}\n")
    if isinstance(table, Grid):
        print(table.markdown(), flush=True)
        return
    print(f"| {'what':<52} | {'median':>9} | {'min':>9} | {'max':>9} | n | unit | compared with |")
    print("|---|---|---|---|---|---|---|")
    for r in table.rows:
        figures = " | ".join(f"{value:>9.6g}" for value in (r.median, r.low, r.high))
        print(f"| {r.what:<52} | {figures} | {r.samples} | {r.unit} | {r.compared_with} |")
    sys.stdout.flush()


def save(tables: Sequence[Table | Grid], json_file: Path | None) -> None:
    """Write the tables as JSON, where that was asked for."""
    if json_file is not None:
        whole = {"tables": [asdict(table) for table in tables]}
        json_file.write_text(json.dumps(whole, indent=2) + "\n")
