"""`python -m audit [PART ...]`: what `make audit` runs; without names, everything.

`manifests` and `sboms` give the same answer every day and are part of `make test`; `dependencies`
and `debian` depend on what others published since, so they are asked for, not stumbled over.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Callable

from audit import debian, dependencies, environment, manifests, sboms
from images import tools


def dependency_problems() -> list[str]:
    """Vulnerabilities where they are known, and breaches of the version policy."""
    known = dependencies.advisories()
    match known:
        case dependencies.Unknown(why):
            print(f"  advisories: NOT AUDITED, the index does not tell them ({why})")
            print(f"  version policy instead: none withdrawn, {dependencies.PATIENCE.days} days")
            found: list[str] = []
        case dependencies.Advisories(vulnerabilities):
            print("  advisories: looked up for every package of every lock")
            found = list(vulnerabilities)
    return found + dependencies.policy_problems(datetime.datetime.now(datetime.UTC))


PARTS: dict[str, Callable[[], list[str]]] = {
    "manifests": manifests.problems,
    "sboms": sboms.problems,
    "dependencies": dependency_problems,
    "debian": debian.problems,
}


def main() -> int:
    """Run the parts, say what each found, and end with 1 if any found something."""
    parser = argparse.ArgumentParser(prog="python -m audit", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    wanted = parser.parse_args().parts or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    total = 0
    for name in wanted:
        print(f"{name}:", flush=True)
        begun = time.monotonic()
        try:
            found = PARTS[name]()
        except (environment.CannotAudit, tools.BuildFailed) as failed:
            found = [f"could not be looked at: {failed}"]
        print("\n".join(f"  {problem}" for problem in found) or "  nothing unexplained", flush=True)
        print(f"  ({time.monotonic() - begun:.0f} s)", flush=True)
        total += len(found)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
