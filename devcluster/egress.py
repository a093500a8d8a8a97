"""The way out: slirp4netns copies what pods send to sockets of the host, and answers back.

It is a process of the cluster's PID namespace, so that it ends with the cluster, but enters the
network and mount namespaces of the host: there its sockets reach what the host reaches, and it
reads the host's current resolv.conf. The host gets no interface, route or rule for it.
A machine that cannot do this gets a cluster without a way out.
"""

import functools
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from devcluster import host, launch, layout
from devcluster.control_plane import Program
from devcluster.errors import DevClusterError
from devcluster.processes import run

NAME = "slirp4netns"
INTERFACE = "egress0"
TUN = Path("/dev/net/tun")
ROUTES = Path("/proc/net/route")
# of every other link here; a larger one would only be cut into pieces
MTU = 1500
START_LIMIT_S = 5.0
POLL_S = 0.02

_MASQUERADE = f"""
add table ip devcluster-egress
add chain ip devcluster-egress out {{ type nat hook postrouting priority srcnat ; }}
add rule ip devcluster-egress out oifname {INTERFACE} masquerade
"""


def obstacle(say: Callable[[str], None]) -> str:
    """Return why clusters on this machine get no way out, or "". Installs what is missing."""
    try:
        TUN.open("rb").close()
        host.install({NAME: NAME}, say)
    except OSError as exc:
        return f"{TUN}: {exc.strerror}; try 'modprobe tun'"
    except (DevClusterError, subprocess.TimeoutExpired) as exc:
        return " ".join(str(exc).split())
    return ""


@functools.cache
def _inside() -> int:
    """Return a descriptor of this network namespace: /proc of the host does not know our pid."""
    return os.open("/proc/self/ns/net", os.O_RDONLY)


def descriptors() -> tuple[int, ...]:
    """Return the namespaces that the program needs as open descriptors."""
    return (launch.HOST_NET_DESCRIPTOR, launch.HOST_MOUNT_DESCRIPTOR, _inside())


def program() -> Program:
    """Return what carries packets between the interface inside and sockets outside."""
    entered = (
        f"--net=/proc/self/fd/{launch.HOST_NET_DESCRIPTOR}",
        f"--mount=/proc/self/fd/{launch.HOST_MOUNT_DESCRIPTOR}",
    )
    flags = (
        "--configure",
        f"--cidr={layout.EGRESS_RANGE}",
        f"--mtu={MTU}",
        "--disable-host-loopback",
        # it reads packets that pods made up: no capabilities, no files, few system calls
        "--enable-sandbox",
        "--enable-seccomp",
        "--netns-type=path",
    )
    target = (f"/proc/self/fd/{_inside()}", INTERFACE)
    return Program(NAME, ("nsenter", *entered, NAME, *flags, *target))


def wait(running: Callable[[], bool]) -> None:
    """Wait for the program's default route."""
    end = time.monotonic() + START_LIMIT_S
    while not has_default(ROUTES.read_text()):
        if not running() or time.monotonic() > end:
            raise DevClusterError(f"{NAME} did not start; see logs/{NAME}.log")
        time.sleep(POLL_S)


def has_default(routes: str) -> bool:
    """Say whether the kernel's table of routes has the default one through our interface."""
    return any(line.split()[:2] == [INTERFACE, "00000000"] for line in routes.splitlines())


def prepare() -> None:
    """Let what leaves through the interface, now or later, carry its address."""
    run("nft", _MASQUERADE)
    # where clouds serve a machine's own credentials to whoever asks from it
    run("ip", "route", "add", "unreachable", "169.254.0.0/16")
