"""The auditing tools, installed once from their lock into the user's cache.

They pin much that we use in other versions, hence not in `.venv`. The key is their lock and the
Python that runs them, so an old checkout and a new one do not disturb each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import pathlib
import shutil
import subprocess
import sys
import time

from devcluster import layout

LOCK = pathlib.Path(__file__).resolve().parent.parent / "requirements/audit.txt"
COMPLETE = "complete"
# Environments of earlier locks, 250 MB each, for other checkouts.
KEPT = 3
# Half a minute with a warm download cache; a slow network takes longer.
LONGEST_INSTALL_S = 1200.0
LONGEST_RUN_S = 300.0


class CannotAudit(Exception):
    """A tool could not be had or did not do its work; the message says which. Give up."""


def home() -> pathlib.Path:
    """Where the environments are kept."""
    return layout.cache_home() / "audit"


def key() -> str:
    """Twelve hex digits over the lock and the Python that will run the tools."""
    return hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]


def ensure() -> pathlib.Path:
    """The folder of the tools' programs; installs them when they are not there."""
    folder = home() / key()
    home().mkdir(parents=True, exist_ok=True)
    with (home() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (folder / COMPLETE).is_file():
            install(folder)
    return folder / "bin"


def install(folder: pathlib.Path) -> None:
    """Make the environment anew, and forget those of other locks."""
    print("Installing the auditing tools (half a minute) ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was ended
    forget_oldest()
    begun = time.monotonic()
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--no-compile"]
    pip += ["--disable-pip-version-check", "--require-hashes", "-r", str(LOCK)]
    for command in ([sys.executable, "-m", "venv", str(folder)], pip):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LONGEST_INSTALL_S, check=False
        )
        if done.returncode:
            raise CannotAudit(f"`{' '.join(command)}` failed:\n{done.stderr[-2000:]}")
    (folder / COMPLETE).touch()
    print(f"  done in {time.monotonic() - begun:.0f} s", flush=True)


def forget_oldest() -> None:
    """Remove environments beyond the few that are kept; what another checkout uses is young."""
    folders = [path for path in home().iterdir() if path.is_dir()]
    for old in sorted(folders, key=lambda path: path.stat().st_mtime)[: 1 - KEPT]:
        shutil.rmtree(old)


def run(
    *command: str | pathlib.Path, at: pathlib.Path | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end, whatever its exit code: tools say with it what they found."""
    words = [str(word) for word in command]
    try:
        return subprocess.run(
            words,
            cwd=at or LOCK.parent.parent,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise CannotAudit(f"`{' '.join(words[:3])}` did not run to its end: {exc}") from exc
