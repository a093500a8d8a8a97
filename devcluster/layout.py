"""Names, places and addresses of a cluster: pure values, no effects.

Every name that two clusters on one machine could fight over (directory, port, bridge, cgroup,
lock) is derived here from the cluster's name. Addresses may be the same in each cluster: they
live in its own network namespace.
"""

import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from devcluster.errors import DevClusterError

NAME = re.compile(r"[a-z]([-a-z0-9]{0,18}[a-z0-9])?")
MAX_NODES = 20
MAX_FAKE_NODES = 20

# The port is a function of the name, so that a kubeconfig stays right from day to day.
PORT_BASE = 26000
PORT_RANGE = 4000

APISERVER_PORT = 6443
GATEWAY = "10.200.0.1"
NODE_PREFIX = 24
POD_RANGE = "10.244.0.0/16"
# pods of fake nodes have addresses, and nobody answers there
FAKE_POD_RANGE = "10.245.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
KUBERNETES_IP = "10.96.0.1"
DNS_IP = "10.96.0.10"
# The way out: its program takes .2 as gateway, .3 as resolver, .100 for the interface inside.
EGRESS_RANGE = "10.201.0.0/24"
EGRESS_DNS = "10.201.0.3"

# The kernel's limit for interface names is 15 bytes.
INTERFACE_LIMIT = 15

# Everything below lives on a tmpfs in the cluster's own mount namespace: short paths (sockets
# may have 108 bytes) that are gone with the namespace.
INSIDE = Path("/run/devcluster")
INSIDE_STATE = INSIDE / "state"
INSIDE_BIN = INSIDE / "bin"
INSIDE_TMP = INSIDE / "tmp"


@dataclass(frozen=True)
class Node:
    """One node of a cluster, counted from 1."""

    index: int

    @property
    def name(self) -> str:
        """Name of the Node object and of the host inside."""
        return f"node-{self.index}"

    @property
    def ip(self) -> str:
        """Address on the cluster's bridge."""
        return f"10.200.0.{10 + self.index}"

    @property
    def pod_cidr(self) -> str:
        """Range that this node gives addresses to pods from."""
        return f"10.244.{self.index}.0/24"


@dataclass(frozen=True)
class FakeNode:
    """One node that exists as an object only, counted from 1."""

    index: int

    @property
    def name(self) -> str:
        """Name of the Node object."""
        return f"fake-{self.index}"

    @property
    def pod_cidr(self) -> str:
        """Range of the addresses that its pods are said to have."""
        return f"10.245.{8 * (self.index - 1)}.0/21"


@dataclass(frozen=True)
class Cluster:
    """A cluster's name and all that follows from it. `state` is its directory on the host."""

    name: str
    state: Path

    @property
    def bridge(self) -> str:
        """Name of the bridge that joins the nodes."""
        return f"br-{self.name}"[:INTERFACE_LIMIT].rstrip("-")

    @property
    def cgroup(self) -> str:
        """Path of the cluster's control group below each hierarchy's root."""
        return f"agentsystem-{self.name}"

    @property
    def kubeconfig(self) -> Path:
        """Admin kubeconfig for the host, through the relayed loopback port."""
        return self.state / "kubeconfig"

    @property
    def settings(self) -> Path:
        """What `up` decided (nodes, port, binaries), for later commands."""
        return self.state / "cluster.json"

    @property
    def lock(self) -> Path:
        """Held by the command that changes the cluster."""
        return self.state / "command.lock"

    @property
    def alive(self) -> Path:
        """Held by the supervisor's tree for as long as any part of it lives."""
        return self.state / "supervisor.lock"

    @property
    def pid_file(self) -> Path:
        """Host pid and start time of the outermost process of the supervisor's tree."""
        return self.state / "supervisor.pid"

    @property
    def socket(self) -> Path:
        """The supervisor's control socket."""
        return self.state / "control.sock"

    @property
    def logs(self) -> Path:
        """One file per process."""
        return self.state / "logs"

    @property
    def audit_log(self) -> Path:
        """The apiserver's audit log: one JSON event per line."""
        return self.state / "audit" / "audit.log"


def cluster(name: str, environ: dict[str, str] | None = None) -> Cluster:
    """Return the layout of the named cluster, or refuse a name that cannot be one."""
    if not NAME.fullmatch(name):
        raise DevClusterError(
            f"'{name}' cannot be a cluster's name: use 1 to 20 lower-case letters, digits and "
            "'-', beginning with a letter and not ending with '-'"
        )
    return Cluster(name=name, state=state_home(environ) / "clusters" / name)


def nodes(count: int) -> tuple[Node, ...]:
    """Return the first `count` nodes; 0 is a cluster with an apiserver only."""
    if not 0 <= count <= MAX_NODES:
        raise DevClusterError(f"--nodes {count}: use 0 (apiserver only) to {MAX_NODES}")
    return tuple(Node(index) for index in range(1, count + 1))


def fake_nodes(count: int) -> tuple[FakeNode, ...]:
    """Return the first `count` fake nodes."""
    if not 0 <= count <= MAX_FAKE_NODES:
        raise DevClusterError(f"--fake-nodes {count}: use 0 to {MAX_FAKE_NODES}")
    return tuple(FakeNode(index) for index in range(1, count + 1))


def preferred_port(name: str) -> int:
    """Return the loopback port that belongs to a cluster's name."""
    return PORT_BASE + zlib.crc32(name.encode()) % PORT_RANGE


def state_home(environ: dict[str, str] | None = None) -> Path:
    """Return the directory for state, as the XDG base directory rules say."""
    return _xdg(environ, "XDG_STATE_HOME", ".local/state") / "agentsystem"


def cache_home(environ: dict[str, str] | None = None) -> Path:
    """Return the directory for what can be built again, as the XDG rules say."""
    return _xdg(environ, "XDG_CACHE_HOME", ".cache") / "agentsystem"


def _xdg(environ: dict[str, str] | None, variable: str, default: str) -> Path:
    given = (os.environ if environ is None else environ).get(variable, "")
    # The specification says to ignore relative paths.
    return Path(given) if given.startswith("/") else Path.home() / default
