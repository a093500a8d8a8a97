"""Builds the cluster's programs from the pinned Go modules beside this file, once.

Each module has a directory in the cache whose name holds a hash of all that goes into it, so a
changed pin or source builds anew and an unchanged one costs a few milliseconds.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devcluster import layout, locks
from devcluster.errors import DevClusterError

SOURCES = Path(__file__).parent
KUBERNETES = "v1.36.3"
TICK_S = 15.0
LOCK_LIMIT_S = 30 * 60.0  # another cluster's first `up` may be building

_VERSION = "k8s.io/component-base/version"
_CLIENT_VERSION = "k8s.io/client-go/pkg/version"
_CONTAINERD = "github.com/containerd/containerd/v2/cmd"


@dataclass(frozen=True)
class Module:
    """One Go module: where it is and which packages become which programs."""

    name: str
    directory: str
    packages: tuple[tuple[str, str], ...]
    flags: tuple[str, ...] = ()
    ldflags: str = "-s -w"


MODULES = (
    Module(
        "tools",
        "tools",
        (
            ("devcluster-tools", "."),
            ("isolate", "./isolate"),
            ("pause", "./pause"),
            ("probe", "./probe"),
        ),
    ),
    Module("etcd", "etcd", (("etcd", "."),)),
    Module(
        "containerd",
        "containerd",
        tuple(
            (program, f"{_CONTAINERD}/{program}")
            for program in ("containerd", "containerd-shim-runc-v2", "ctr")
        ),
        flags=("-tags", "no_btrfs,no_devmapper,no_zfs"),
    ),
    Module(
        "kube",
        ".",
        (("devcluster-kube", "."),),
        ldflags=" ".join(
            [
                "-s -w",
                f"-X {_VERSION}.gitVersion={KUBERNETES}",
                f"-X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=36",
                f"-X {_CLIENT_VERSION}.gitVersion={KUBERNETES}",
            ]
        ),
    ),
)


def key(module: Module, sources: Path = SOURCES) -> str:
    """Return a hash of a module's pins, sources and flags."""
    root = sources / module.directory
    digest = hashlib.sha256(repr((module.packages, module.flags, module.ldflags)).encode())
    for path in sorted(_inputs(root)):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _inputs(root: Path) -> list[Path]:
    found = [root / "go.mod", root / "go.sum", *root.glob("*.go")]
    for child in root.iterdir():
        # A directory with a go.mod is another module; the rest are packages of this one.
        if child.is_dir() and not (child / "go.mod").exists():
            found += child.glob("*.go")
    return [path for path in found if path.exists() and not path.name.endswith("_test.go")]


def missing(cache: Path | None = None) -> tuple[Module, ...]:
    """Return the modules that are not in the cache."""
    return tuple(m for m in MODULES if not directory(m, cache).is_dir())


def directory(module: Module, cache: Path | None = None) -> Path:
    """Return where a module's programs are kept."""
    home = (cache or layout.cache_home()) / "devcluster"
    return home / f"{module.name}-{key(module)}"


def directories(cache: Path | None = None) -> dict[str, Path]:
    """Return each module's directory of programs by the module's name."""
    return {module.name: directory(module, cache) for module in MODULES}


def build(say: Callable[[str], None], cache: Path | None = None) -> None:
    """Build what is missing, telling about every 15 seconds how it goes."""
    if not missing(cache):
        return
    home = (cache or layout.cache_home()) / "devcluster"
    with locks.locked(home / "build.lock", "build", LOCK_LIMIT_S):
        for left in home.glob("*.part"):  # of a builder that was killed
            shutil.rmtree(left)
        todo = missing(cache)
        for number, module in enumerate(todo, start=1):
            say(f"building {module.name} ({number} of {len(todo)}; only the first time)")
            _build(module, directory(module, cache), say)


def _build(module: Module, target: Path, say: Callable[[str], None]) -> None:
    # Programs appear under their final name only when all of them are there.
    staging = target.with_name(f"{target.name}.part")
    staging.mkdir(parents=True)
    try:
        for program, package in module.packages:
            _go_build(module, package, staging / program, say)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _go_build(module: Module, package: str, target: Path, say: Callable[[str], None]) -> None:
    command = ["nice", "-n", "5", "go", "build", "-trimpath", "-v", *module.flags]
    command += ["-ldflags", module.ldflags, "-o", str(target), package]
    log = target.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=SOURCES / module.directory,
            env=os.environ
            | {
                "CGO_ENABLED": "0",
                "GOFLAGS": "-buildvcs=false",
                # a killed compiler leaves its files where we remove them
                "GOTMPDIR": str(target.parent),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # so that an interrupt can end the compilers as a group
        )
        try:
            _follow(process, log, target.name, say)
        finally:
            _end_group(process)
    if process.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise DevClusterError(f"building {target.name} failed:\n{tail}")
    log.unlink()


def _follow(
    process: subprocess.Popen[bytes], log: Path, program: str, say: Callable[[str], None]
) -> None:
    begun = time.monotonic()
    while True:
        try:
            process.wait(timeout=TICK_S)
        except subprocess.TimeoutExpired:
            compiled = log.read_bytes().count(b"\n")
            say(f"  {program}: {time.monotonic() - begun:.0f} s, {compiled} packages so far")
        else:
            return


def _end_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
