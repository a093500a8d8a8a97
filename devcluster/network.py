"""Wires the cluster's network namespace: a bridge, and one veth pair to each node.

Nothing here is seen by the host. The way out is made elsewhere, where it can be made.
"""

from contextlib import suppress
from pathlib import Path

from devcluster import layout
from devcluster.errors import DevClusterError
from devcluster.processes import run

FORWARD = "/proc/sys/net/ipv4/ip_forward"


def prepare(bridge: str) -> None:
    """Create the bridge with the gateway's address in the current network namespace."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", bridge, "type", "bridge")
    run("ip", "addr", "add", f"{layout.GATEWAY}/{layout.NODE_PREFIX}", "dev", bridge)
    run("ip", "link", "set", bridge, "up")
    # kube-proxy rewrites Service addresses after a route was found, so there must be one
    run("ip", "route", "add", layout.SERVICE_RANGE, "dev", bridge)
    Path(FORWARD).write_text("1")


def refuse(cidr: str) -> None:
    """Answer what is sent to a range at once with "no route", instead of sending it outside."""
    run("ip", "route", "add", "unreachable", cidr)


def attach(node: layout.Node, pid: int, bridge: str, others: tuple[layout.Node, ...]) -> None:
    """Give the namespace of process `pid` an eth0 on the bridge and routes to all pods."""
    # The kernel removes the link of a node that was stopped when it comes to it, maybe after this.
    with suppress(DevClusterError):
        run("ip", "link", "delete", node.name)
    run("ip", "link", "add", node.name, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    run("ip", "link", "set", node.name, "master", bridge, "up")
    run("ip", "route", "replace", node.pod_cidr, "via", node.ip)
    commands = [
        "link set lo up",
        f"addr add {node.ip}/{layout.NODE_PREFIX} dev eth0",
        "link set eth0 up",
        f"route add default via {layout.GATEWAY}",
    ]
    commands += [f"route add {o.pod_cidr} via {o.ip}" for o in others if o != node]
    script = " && ".join(f"ip {command}" for command in commands)
    run("nsenter", "-t", str(pid), "--net", "sh", "-c", f"{script} && echo 1 > {FORWARD}")
