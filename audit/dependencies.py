"""Our locked Python packages: known vulnerabilities where they can be looked up, else their age.

pip-audit asks the package index for advisories. An index that does not know them makes it skip a
package and still say "no known vulnerabilities": here that is `Unknown`, and the version policy
alone speaks. The policy, for every lock:

- no pin is a release that was withdrawn ("yanked");
- no pin is older than a release that fits and has been out for `PATIENCE`: fixes arrive within
  that time even when nobody tells us that they are fixes.

"Fits" is decided by resolving the same names as of that day, so a package that another one holds
back is not blamed.
"""

from __future__ import annotations

import datetime
import json
import pathlib
import re
import sys
import tempfile
from dataclasses import dataclass

from packaging.version import Version

from audit import environment

ROOT = environment.LOCK.parent.parent
ROLES = ("dev", "operator", "runtime", "cli", "audit")
# Roles in dev's versions are subsets of it; a release is judged once per set that is resolved.
RESOLVED = ("dev", "audit")
PATIENCE = datetime.timedelta(days=90)
PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
YANKED = re.compile(r"warning: `([^`]+)` is yanked(?: \(reason: (.*)\))?")
UV = (sys.executable, "-m", "uv", "pip", "compile")
HOW = ("--universal", "--python-version", "3.11", "--no-config", "--no-header", "--no-annotate")


@dataclass(frozen=True)
class Unknown:
    """The advisories could not be looked up, or not for all; says why."""

    why: str


@dataclass(frozen=True)
class Advisories:
    """What is known about every package of the locks."""

    vulnerabilities: tuple[str, ...]


def lock_of(role: str) -> pathlib.Path:
    """The lock file of a role."""
    return ROOT / "requirements" / f"{role}.txt"


def advisories(roles: tuple[str, ...] = ROLES) -> Advisories | Unknown:
    """The known vulnerabilities of what those roles install."""
    bin_folder = environment.ensure()
    found: set[str] = set()
    for role in roles:
        with tempfile.NamedTemporaryFile(suffix=".json") as report:
            done = environment.run(
                *(bin_folder / "pip-audit", "--requirement", lock_of(role), "--require-hashes"),
                *("--disable-pip", "--progress-spinner", "off", "--format", "json"),
                *("--output", report.name),
            )
            text = pathlib.Path(report.name).read_text()
        read = read_report(text, said=done.stderr)
        if isinstance(read, Unknown):
            return read
        found.update(read.vulnerabilities)
    return Advisories(tuple(sorted(found)))


def read_report(text: str, *, said: str = "") -> Advisories | Unknown:
    """What a report of pip-audit means; one package that was skipped makes it Unknown."""
    try:
        packages = json.loads(text)["dependencies"]
    except (ValueError, KeyError):
        return Unknown(said.strip().splitlines()[-1] if said.strip() else "no report")
    skipped = [each["skip_reason"] for each in packages if "skip_reason" in each]
    if skipped or not packages:
        return Unknown(f"{len(skipped)} of {len(packages)} packages; {(skipped or ['none'])[0]}")
    return Advisories(
        tuple(
            f"{each['name']} {each['version']}: {known['id']}, fixed in "
            f"{', '.join(known['fix_versions']) or 'no release yet'}"
            for each in packages
            for known in each["vulns"]
        )
    )


def policy_problems(now: datetime.datetime) -> list[str]:
    """Pins that break the version policy."""
    found = [problem for role in ROLES for problem in yanked(lock_of(role))]
    return found + [problem for role in RESOLVED for problem in outdated(lock_of(role), now)]


def yanked(lock: pathlib.Path) -> list[str]:
    """Pins of releases that their authors withdrew."""
    done = environment.run(*UV, lock, "--no-deps", *HOW)
    if done.returncode:
        raise environment.CannotAudit(f"{lock.name} does not resolve: {done.stderr}")
    return [
        f"{lock.name}: {pin} was withdrawn: {reason or 'no reason given'}"
        for pin, reason in YANKED.findall(done.stderr)
    ]


def outdated(lock: pathlib.Path, now: datetime.datetime) -> list[str]:
    """Pins older than a release that fits and was out `PATIENCE` before `now`."""
    day = (now - PATIENCE).strftime("%Y-%m-%dT00:00:00Z")
    pins = pins_of(lock.read_text())
    done = environment.run(*UV, "-", *HOW, "--exclude-newer", day, stdin="\n".join(pins))
    if done.returncode:
        raise environment.CannotAudit(f"{lock.name} as of {day} does not resolve: {done.stderr}")
    return [
        f"{lock.name}: {name} {pins[name]} is older than {then}, which was out on {day[:10]}"
        for name, then in pins_of(done.stdout).items()
        if name in pins and Version(pins[name]) < Version(then)
    ]


def pins_of(text: str) -> dict[str, str]:
    """The pinned version of each package of a lock."""
    return dict(PIN.findall(text))
