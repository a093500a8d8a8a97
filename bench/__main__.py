"""`python -m bench NAME [--json FILE]`: run one benchmark."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import operator, runtime

BENCHES = {"operator": operator, "runtime": runtime}


def main() -> None:
    """Parse the command line and run the benchmark that it names."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    for name, module in BENCHES.items():
        sub = names.add_parser(name, description=module.__doc__)
        sub.add_argument("--json", type=Path, help="also write the figures here")
        module.add_arguments(sub)
    options = parser.parse_args()
    BENCHES[options.name].run(options)


if __name__ == "__main__":
    main()
