"""The release before this one, taken out of git and run beside what is here now."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

# Releases only: v1.2.3, not v1.2.3-rc.1.
_RELEASE = re.compile(r"^v(\d+)\.(\d+)\.(\d+)$")


def _git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=repository, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def newest_release(repository: Path) -> str | None:
    """Return the newest release tag of a clone; None when there is none before this.

    A tag on the commit that is checked out is this release, not the one before it.
    """
    if not (repository / ".git").exists():
        return None
    here = set(_git(repository, "tag", "--points-at", "HEAD").split())
    found = {
        tag: tuple(map(int, match.groups()))
        for tag in _git(repository, "tag", "--list", "v*").split()
        if tag not in here and (match := _RELEASE.match(tag))
    }
    return max(found, key=lambda tag: found[tag], default=None)


def extract(repository: Path, tag: str, folder: Path) -> Path:
    """Return a folder with the tree of a tag, as it was committed."""
    folder.mkdir(parents=True)
    archive = subprocess.Popen(
        ["git", "archive", "--format=tar", tag], cwd=repository, stdout=subprocess.PIPE
    )
    subprocess.run(["tar", "-x", "-C", str(folder)], stdin=archive.stdout, check=True)
    assert archive.wait(60) == 0
    return folder


def python(tree: Path, *arguments: str) -> str:
    """Run the interpreter on the code of a tree, and on no other; returns its output."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": f"{tree / 'operator'}:{tree}"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(tree: Path, system: Path) -> str:
    """Return the laptop's config that the tools of a tree render for a system."""
    return python(tree, "-m", "agentsystem_cli", "render", "-f", str(system))
