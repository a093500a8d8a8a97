"""The operator's numbers, section by section, counted and timed from outside the operator.

`python -m bench operator SECTION ...` runs the named ones, without a name all of them one after the
other, which takes hours. Each raises a dev cluster of its own and ends it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from bench.operator import changes, failover, growth, requests, rest, settling, sizes
from bench.report import Table

Section = Callable[[argparse.Namespace], Iterator[Table]]
SECTIONS: dict[str, Section] = {
    "requests": requests.run,
    "settling": settling.run,
    "sizes": sizes.run,
    "rest": rest.run,
    "changes": changes.run,
    "failover": failover.run,
    "growth": growth.run,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m bench operator`."""
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)} (default: all)"
    )
    add = parser.add_argument
    add("--cluster", default="bench", help="dev cluster; raised and ended here")
    add("--systems", type=int, default=1000, help="how many systems (default 1000)")
    add("--sizes", default="100,1000,5000", help="systems of the section sizes")
    add("--runs", type=int, default=5, help="runs of settling (default 5)")
    add("--kills", type=int, default=20, help="runs of each failover (default 20)")
    add("--rest", type=int, default=900, help="seconds at rest (default 900)")
    add("--minutes", type=float, default=5, help="minutes of changes (default 5)")
    add("--churn", type=float, default=60, help="minutes of growth (default 60)")
    add("--fake-nodes", type=int, default=5, help="KWOK nodes that run the pods (default 5)")
    add("--controller-qps", type=int, default=1000, help="of the controllers (default 1000)")


def run(options: argparse.Namespace) -> Iterator[Table]:
    """Measure the sections that were asked for."""
    for name in options.sections or SECTIONS:
        if name not in SECTIONS:
            raise SystemExit(f"no section {name!r}; there are: {', '.join(SECTIONS)}")
    for name in options.sections or SECTIONS:
        yield from SECTIONS[name](options)
