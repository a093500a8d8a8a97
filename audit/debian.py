"""Whether the Debian packages in our images are those that Debian gives out today.

The base is kept in a cache whose key does not follow Debian, so that builds are fast and the same
until somebody asks for newer packages; this is what tells that somebody should.
"""

from __future__ import annotations

import pathlib
import re
import tempfile

from audit import environment
from images import base, build, sbom, tools

CONFIGURED = re.compile(r"^Conf (\S+) \((\S+) ", re.MULTILINE)


def problems() -> list[str]:
    """Packages in our images other than the suite's newest, its security updates included."""
    newest = on_offer()
    found = set()
    for image in build.build_all():
        for package in sbom.contents(image.archive).debian:
            offered = newest.get(package.name, "none of that name")
            if offered != package.version:
                found.add(f"{package.name} {package.version} in an image, Debian has {offered}")
    if not found:
        return []
    return [*sorted(found), "`make images FRESH=1` takes the newest"]


def on_offer() -> dict[str, str]:
    """The version of each package that a build would take now, by asking as a build does."""
    tools.ensure_installed()
    with tempfile.TemporaryDirectory() as folder:  # where it keeps the package lists meanwhile
        done = environment.run(
            *("mmdebstrap", "--simulate", "--verbose", "--variant=extract"),
            *(f"--include={','.join(base.RUNS)}", '--aptopt=APT::Install-Recommends "false"'),
            *(base.SUITE, pathlib.Path(folder) / "root"),
        )
    offered = dict(CONFIGURED.findall(done.stdout + done.stderr))
    if done.returncode or not set(base.RUNS) <= set(offered):
        raise environment.CannotAudit(f"mmdebstrap does not say what it would take:\n{done.stderr}")
    return offered
