"""The programs that images are made with: found, installed when missing, run with clear errors.

Nothing here knows what is built. Every program runs with a limit on its time.
"""

from __future__ import annotations

import collections.abc
import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import time

from devcluster import layout

# Program -> Debian package. buildah runs build steps through a chroot; no container engine.
PACKAGES = {"buildah": "buildah", "mmdebstrap": "mmdebstrap"}
# A cold build downloads some 60 MB of packages; half an hour is a broken network, not a slow one.
LONGEST_RUN_S = 1800.0


class BuildFailed(Exception):
    """A step failed; the message says which and shows the end of its output. Give up."""


def cache_folder() -> pathlib.Path:
    """Where everything built is kept: outside the source tree, shared by all checkouts."""
    folder = layout.cache_home() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(*command: str, environment: collections.abc.Mapping[str, str] | None = None) -> str:
    """The standard output of a command; raises BuildFailed with the end of what it said."""
    try:
        done = subprocess.run(  # fixed programs with arguments of our own
            command,
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN_S,
            check=False,
            env={**os.environ, **environment} if environment else None,
        )
    except FileNotFoundError as exc:
        raise BuildFailed(f"{command[0]} is not installed") from exc
    except subprocess.TimeoutExpired as exc:
        raise BuildFailed(f"{command[0]} took more than {LONGEST_RUN_S:.0f} s; stopped") from exc
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise BuildFailed(f"`{' '.join(command)}` ended with {done.returncode}:\n{said}")
    return done.stdout


def ensure_installed() -> None:
    """Install what is missing with apt; a clear BuildFailed where that cannot work."""
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if os.geteuid() != 0:
        raise BuildFailed("building images needs root (mmdebstrap and buildah use chroot)")
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise BuildFailed(f"{', '.join(missing)} missing, and no apt-get here: install them first")
    with step(f"installing {', '.join(missing)}"):
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "update", "-qq", environment=quiet)
        run(
            *("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing),
            environment=quiet,
        )


@contextlib.contextmanager
def step(title: str) -> collections.abc.Iterator[None]:
    """Print what begins, and beside it how long it took."""
    sys.stdout.write(f"  {title} ... ")
    sys.stdout.flush()
    begun = time.monotonic()
    try:
        yield
    except BaseException:
        sys.stdout.write("failed\n")
        raise
    sys.stdout.write(f"{time.monotonic() - begun:.1f} s\n")
    sys.stdout.flush()


@contextlib.contextmanager
def alone(name: str) -> collections.abc.Iterator[None]:
    """Let one process at a time work in the cache; others wait their turn."""
    with (cache_folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
