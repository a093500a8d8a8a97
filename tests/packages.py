"""Installs the servers that tests start themselves, without the services that Debian makes of them.

`python -m tests.packages` before the contract tests; does nothing where all is there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_POLICY = Path("/usr/sbin/policy-rc.d")  # what Debian's packages ask before they start a service
_SERVICES = ("redis-server", "postgresql")
_APT_SECONDS = 600


def missing() -> list[str]:
    """Return the Debian packages whose programs are not here."""
    found = {
        "redis-server": shutil.which("redis-server"),
        # off the PATH, below the version's directory
        "postgresql": any(Path("/usr/lib/postgresql").glob("*/bin/initdb")),
    }
    return [package for package, there in found.items() if not there]


@contextlib.contextmanager
def no_service_starts() -> Iterator[None]:
    """Let nothing that is installed meanwhile start: a server of the machine's own is not asked."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


def install(packages: list[str]) -> str:
    """Install packages; return what went wrong, empty when nothing did."""
    names = " ".join(packages)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"the contract tests need what Debian calls {names}: install it and try again"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with no_service_starts():
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        ):
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=_APT_SECONDS,
                check=False,
            )  # fmt: skip
    if done.returncode != 0:
        return f"apt-get install {names} failed: {done.stderr.strip()[-500:]}"
    if shutil.which("systemctl"):  # nor at the next boot
        services = [name for name in _SERVICES if name in packages]
        subprocess.run(["systemctl", "disable", "-q", *services], capture_output=True, check=False)
    return ""


def main() -> int:
    """Install what is missing."""
    packages = missing()
    if not packages:
        return 0
    print(f"installing Debian packages: {' '.join(packages)}", flush=True)
    if problem := install(packages):
        print(f"tests: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
