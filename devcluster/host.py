"""What the machine must have, checked before anything is started; says what to do about it."""

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from devcluster import build, cgroups, layout
from devcluster.errors import DevClusterError

GIB = 1024**3
BUILD_DISK_GIB = 12
RUN_DISK_GIB = 4
CONTROL_PLANE_MIB = 900
NODE_MIB = 400
GO = (1, 26)
APT_LIMIT_S = 600

# program (or file) that must be there -> Debian package that has it
NODE_PROGRAMS = {
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "nft": "nftables",
    "mount": "mount",
}
PROGRAMS = {"ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux"}

NAMESPACES = ("pid", "mnt", "net", "uts")


def check(nodes: int) -> None:
    """Raise with the first thing that this machine lacks and what to do about it."""
    _system()
    _kernel(nodes)
    _memory(nodes, Path("/proc/meminfo").read_text())
    building = bool(build.missing())
    _disk(BUILD_DISK_GIB if building else RUN_DISK_GIB)
    if building:
        _go()


def _system() -> None:
    if platform.system() != "Linux":
        raise DevClusterError(
            f"this needs Linux, not {platform.system()}: use a virtual machine with Debian 12"
        )
    if os.geteuid() != 0:
        raise DevClusterError(
            "not root: a cluster needs namespaces, mounts and control groups; "
            "run the same command with sudo (sudo -E keeps your cache directory)"
        )


def _kernel(nodes: int) -> None:
    lacking = [name for name in NAMESPACES if not Path(f"/proc/self/ns/{name}").exists()]
    if lacking:
        raise DevClusterError(
            f"this kernel has no {', '.join(lacking)} namespaces: "
            "use one built with CONFIG_NAMESPACES"
        )
    if nodes == 0:
        return
    if "overlay" not in Path("/proc/filesystems").read_text():
        raise DevClusterError("this kernel has no overlayfs: run 'modprobe overlay'")
    found = cgroups.here()
    if cgroups.version(found) == 0:
        raise DevClusterError("no control groups are mounted at /sys/fs/cgroup: mount them")
    if absent := cgroups.missing(found):
        raise DevClusterError(
            f"control group controllers missing: {', '.join(absent)}; "
            "enable them on the kernel's command line (cgroup_enable=...)"
        )


def _memory(nodes: int, meminfo: str) -> None:
    fields = dict(line.split(":", 1) for line in meminfo.splitlines())
    free_mib = int(fields["MemAvailable"].split()[0]) // 1024
    need_mib = CONTROL_PLANE_MIB + nodes * NODE_MIB
    if free_mib < need_mib:
        raise DevClusterError(
            f"{free_mib} MiB of memory are free, {need_mib} MiB are needed for {nodes} nodes: "
            "end something, or take fewer nodes (--nodes)"
        )


def _disk(need_gib: int) -> None:
    for home in (layout.cache_home(), layout.state_home()):
        existing = next(path for path in (home, *home.parents) if path.exists())
        free_gib = shutil.disk_usage(existing).free / GIB
        if free_gib < need_gib:
            raise DevClusterError(
                f"{free_gib:.1f} GiB are free at {existing}, {need_gib} GiB are needed: make "
                "room, or set XDG_CACHE_HOME and XDG_STATE_HOME to a larger disk"
            )


def _go() -> None:
    if shutil.which("go") is None:
        raise DevClusterError(
            "Go is not installed, and the cluster is built with it (once): "
            f"install Go {GO[0]}.{GO[1]} or later from https://go.dev/dl/ and put it on PATH"
        )
    said = subprocess.run(
        ["go", "env", "GOVERSION"], capture_output=True, text=True, timeout=60, check=False
    ).stdout.strip()
    if go_version(said) < GO:
        raise DevClusterError(f"Go is {said or 'broken'}; {GO[0]}.{GO[1]} or later is needed")


def go_version(said: str) -> tuple[int, int]:
    """Return major and minor of what `go env GOVERSION` says, (0, 0) if it is no release."""
    major, _, rest = said.removeprefix("go").partition(".")
    minor = rest.partition(".")[0]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def install_packages(nodes: int, say: Callable[[str], None]) -> None:
    """Install what every cluster of so many nodes needs."""
    install({**PROGRAMS, **(NODE_PROGRAMS if nodes else {})}, say)


def install(programs: dict[str, str], say: Callable[[str], None]) -> None:
    """Install the Debian packages of those programs that are missing."""
    packages = missing_packages(programs)
    if not packages:
        return
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise DevClusterError(
            f"no apt-get on this machine: install what Debian calls {names} and try again"
        )
    say(f"installing Debian packages: {names}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    for attempt in (["apt-get", "update"], None):
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=APT_LIMIT_S,
            check=False,
        )
        if done.returncode == 0:
            return
        if attempt is not None:  # lists of packages may be missing or old
            subprocess.run(attempt, env=environment, capture_output=True, check=False)
    raise DevClusterError(f"apt-get install {names} failed: {done.stderr.strip()[-500:]}")


# what nodes are wired with, tried for real: names of modules do not tell what is built in
_FEATURES = """
ip link add dc-a type veth peer name dc-b
ip link add dc-c type bridge
nft add table ip dc-probe
nft add chain ip dc-probe nat '{ type nat hook output priority -100 ; }'
"""


def check_network(nodes: int) -> None:
    """Raise if the kernel cannot do what nodes are wired with. Needs the packages."""
    if nodes == 0:
        return
    done = subprocess.run(
        ["unshare", "--net", "sh", "-e", "-c", _FEATURES],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise DevClusterError(
            f"this kernel lacks something that nodes need: {done.stderr.strip()}; "
            "try 'modprobe -a veth bridge nf_tables nft_chain_nat', or another kernel"
        )


def missing_packages(programs: dict[str, str]) -> list[str]:
    """Return the packages of the programs that are not there, each once."""
    absent = [package for program, package in programs.items() if not _there(program)]
    return sorted(set(absent))


def _there(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None
