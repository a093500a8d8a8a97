"""The cluster's control groups: found, made and removed under version 1 or 2.

They are the one thing on the host that no namespace takes along, so every path here begins
with the cluster's own name.
"""

import os
import time
from pathlib import Path

from devcluster.errors import DevClusterError

ROOT = Path("/sys/fs/cgroup")
# what the kubelet's resource management cannot do without
NEEDED = ("cpu", "cpuset", "memory", "pids")
# what /proc/self/mounts lists beside the controllers
_MOUNT_OPTIONS = {
    "rw", "ro", "nosuid", "nodev", "noexec", "relatime", "noatime", "xattr", "clone_children",
    "noprefix",
}  # fmt: skip
REMOVE_LIMIT_S = 10.0
POLL_S = 0.05


def hierarchies(mounts: str) -> dict[str, Path]:
    """Return each hierarchy's mount point by its controllers; "" names the unified one.

    `mounts` is the text of /proc/self/mounts.
    """
    found: dict[str, Path] = {}
    for line in mounts.splitlines():
        _, where, kind, options, *_ = line.split(" ")
        if kind == "cgroup":
            found[_controllers(options)] = Path(where)
        elif kind == "cgroup2":
            found[""] = Path(where)
    return found


def _controllers(options: str) -> str:
    names = (option for option in options.split(",") if option not in _MOUNT_OPTIONS)
    return ",".join(name for name in names if "=" not in name or name.startswith("name="))


def version(found: dict[str, Path]) -> int:
    """Return 1 or 2 for what `hierarchies` found, 0 for nothing.

    A unified hierarchy beside version 1 controllers has none of its own: that is version 1.
    """
    if not found:
        return 0
    return 2 if set(found) == {""} else 1


def missing(found: dict[str, Path]) -> list[str]:
    """Return the controllers that the kubelet needs and this machine does not offer."""
    if version(found) == 2:
        offered = (found[""] / "cgroup.controllers").read_text().split()
    else:
        offered = [part for names in found for part in names.split(",")]
    return [name for name in NEEDED if name not in offered]


def here() -> dict[str, Path]:
    """Return the hierarchies of this machine."""
    return hierarchies(Path("/proc/self/mounts").read_text())


def create(path: str) -> None:
    """Create a control group under every hierarchy; version 1's cpuset gets its parent's set."""
    found = here()
    unified = version(found) == 2
    for controllers, root in found.items():
        at = root
        for part in path.split("/"):
            parent, at = at, at / part
            at.mkdir(exist_ok=True)
            if controllers == "cpuset":
                _copy_cpuset(parent, at)
            elif unified:
                enable = " ".join(f"+{name}" for name in NEEDED)
                (parent / "cgroup.subtree_control").write_text(enable)


def _copy_cpuset(parent: Path, child: Path) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (child / name).read_text().strip():
            (child / name).write_text((parent / name).read_text())


def remove(path: str) -> None:
    """Remove a control group and all below it. Its processes must be dead or dying."""
    end = time.monotonic() + REMOVE_LIMIT_S
    for root in here().values():
        while left := _remove_tree(root / path):
            if time.monotonic() > end:
                raise DevClusterError(f"control group {left} cannot be removed: still in use")
            time.sleep(POLL_S)


def remains(path: str) -> list[Path]:
    """Return where a control group still exists."""
    return [root / path for root in here().values() if (root / path).is_dir()]


def _remove_tree(top: Path) -> Path | None:
    """Remove bottom-up; return the first directory that the kernel still holds on to."""
    stuck = None
    for directory, _, _ in os.walk(top, topdown=False):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError:
            stuck = stuck or Path(directory)
    return stuck
