"""Rows of numbers, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import platform
import statistics
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


def show(title: str, load: str, rows: Sequence[Row], *, json_file: Path | None) -> None:
    """Print the table, say the load, and write JSON where asked."""
    print(f"\n{title}\nload: {load}; machine: {platform.machine()}, Linux {platform.release()}\n")
    print(f"| {'what':<52} | {'median':>9} | {'min':>9} | {'max':>9} | n | unit | compared with |")
    print("|---|---|---|---|---|---|---|")
    for r in rows:
        figures = " | ".join(f"{value:>9.6g}" for value in (r.median, r.low, r.high))
        print(f"| {r.what:<52} | {figures} | {r.samples} | {r.unit} | {r.compared_with} |")
    if json_file is not None:
        whole = {"title": title, "load": load, "rows": [asdict(r) for r in rows]}
        json_file.write_text(json.dumps(whole, indent=2) + "\n")
