"""`python -m bench [NAME [--json FILE]]`: run one benchmark, or all of them one by one."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from bench import (
    channel,
    faults,
    operator,
    outages,
    overload,
    privacy,
    report,
    runtime,
    simulator,
    tracing,
)

BENCHES = {
    "channel": channel,
    "faults": faults,
    "operator": operator,
    "outages": outages,
    "overload": overload,
    "privacy": privacy,
    "runtime": runtime,
    "simulator": simulator,
    "tracing": tracing,
}


ENDED = 128 + signal.SIGTERM


def main() -> None:
    """Parse the command line and run the benchmarks that it names."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = parser.add_subparsers(dest="name")
    for name, module in BENCHES.items():
        sub = names.add_parser(name, description=module.__doc__)
        sub.add_argument("--json", type=Path, help="also write the figures here")
        module.add_arguments(sub)
    asked = parser.parse_args()
    # As Ctrl-C: whatever a benchmark raised is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ENDED))
    for name in [asked.name] if asked.name else BENCHES:
        options = asked if asked.name else parser.parse_args([name])
        tables: list[report.Table | report.Grid] = []
        for table in BENCHES[name].run(options):
            report.show(table)
            tables.append(table)
            report.save(tables, options.json)


if __name__ == "__main__":
    main()
