"""Starts and ends a node: a process tree in PID, mount, network and UTS namespaces of its own.

The node's PID 1 keeps containerd, kubelet and kube-proxy running. Ending it is a power cut:
the kernel takes every process, mount, address and lease of the node along, which killing
containerd would leave behind. `ip netns exec` is not used: it would give each process a mount
namespace of its own, and containerd would not see the kubelet's volumes.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable

from devcluster import cgroups, control_plane, images, layout, network, node_config
from devcluster.errors import DevClusterError
from devcluster.processes import environment, kill_and_wait, run

NAMESPACE_LIMIT_S = 10.0
SOCKET_LIMIT_S = 60.0
POLL_S = 0.02

# Hides what two nodes would fight over. Everything on these dies with the node.
_PRIVATE = f"""
set -e
mount -t tmpfs -o mode=0755 node {node_config.RUN}
mount -t tmpfs -o mode=0755 lib /var/lib
mount -t tmpfs -o mode=0755 log /var/log
mkdir -p /var/lib/kubelet /var/lib/cni /var/log/containers {node_config.RUN}/opt
hostname "$1"
exec {layout.INSIDE_BIN}/tools/devcluster-tools node-init "$2"
"""


class Machine:
    """One node of this cluster, running or stopped."""

    def __init__(
        self,
        node: layout.Node,
        cluster: layout.Cluster,
        others: tuple[layout.Node, ...],
        say: Callable[[str], None],
        *,
        isolated: bool,
    ) -> None:
        self.node = node
        self._cluster = cluster
        self._others = others
        self._say = say
        self._isolated = isolated  # whether NetworkPolicies are enforced
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the node's PID 1 is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """A process in the node's mount and network namespaces, as the supervisor counts."""
        if self._process is None or not self.running:
            raise DevClusterError(f"{self.node.name} is stopped; start it first")
        return self._process.pid

    def start(self) -> None:
        """Start the node unless it runs; its kubelet reports Ready some seconds later."""
        if self.running:
            return
        write_files(self.node, self._cluster, isolated=self._isolated)
        cgroups.create(f"{self._cluster.cgroup}/{self.node.name}")
        home = node_config.state(self.node)
        log = layout.INSIDE_STATE / "logs" / f"{self.node.name}.log"
        command = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
        command += ["--net", "--uts", "sh", "-c", _PRIVATE, "node", self.node.name]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, str(home / "processes.json")],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment(),
                cwd="/",
            )
        self._wire(self._process)
        self._load_pause()

    def stop(self) -> None:
        """Cut the node's power and remove the control groups of its pods."""
        if self._process is not None and self.running:
            kill_and_wait(self._process)
        self._process = None
        cgroups.remove(f"{self._cluster.cgroup}/{self.node.name}")

    def enter(self, *command: str, stdin: int | None = None, limit_s: float = 60) -> str:
        """Run a command in the node's mount and network namespaces; return its output."""
        where = ["nsenter", "-t", str(self.pid), "--mount", "--net"]
        return run(*where, *command, stdin=stdin, limit_s=limit_s)

    def load_image(self, archive: int) -> str:
        """Import an image archive from an open descriptor; return what containerd said."""
        again = os.open(f"/proc/self/fd/{archive}", os.O_RDONLY)  # an offset of its own
        try:
            ctr = str(layout.INSIDE_BIN / "containerd" / "ctr")
            command = [ctr, "-a", str(node_config.SOCKET), "-n", "k8s.io", "images", "import"]
            return self.enter(*command, "--local", "-", stdin=again, limit_s=600)
        finally:
            os.close(again)

    def _wire(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + NAMESPACE_LIMIT_S
        ours = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{process.pid}/ns/net") == ours:
            if time.monotonic() > end or process.poll() is not None:
                raise DevClusterError(f"{self.node.name}: no namespace; see its log")
            time.sleep(POLL_S)
        network.attach(self.node, process.pid, self._cluster.bridge, self._others)
        if process.stdin is None:
            raise DevClusterError(f"{self.node.name}: started without an input")
        process.stdin.write(b"go\n")
        process.stdin.close()

    def _load_pause(self) -> None:
        """Import the pause image; pods would otherwise wait for a registry that is not there."""
        end = time.monotonic() + SOCKET_LIMIT_S
        while True:
            try:
                with images.pause_archive(layout.INSIDE_BIN / "tools" / "pause") as archive:
                    self.load_image(archive.fileno())
            except DevClusterError as exc:
                if time.monotonic() > end:
                    raise DevClusterError(f"{self.node.name}: no containerd: {exc}") from exc
                time.sleep(0.2)
            else:
                return


def write_files(node: layout.Node, cluster: layout.Cluster, *, isolated: bool) -> None:
    """Write the node's configuration files anew; what it stores beside them stays."""
    home = node_config.state(node)
    for part in ("cni", "kubelet", "pod-logs", "volume-plugins", "containerd"):
        (home / part).mkdir(parents=True, exist_ok=True)
    proxy = control_plane.kube_proxy_config(node.name, control_plane.CONFIGS / "kube-proxy")
    files = {
        "containerd.toml": node_config.containerd(node),
        "cni/10-pods.conflist": node_config.cni(node, isolated=isolated),
        "kubelet.json": node_config.kubelet(node, cluster.cgroup),
        "kube-proxy.json": proxy,
        "processes.json": json.dumps(node_config.processes(node, isolated=isolated), indent=1),
    }
    for name, text in files.items():
        (home / name).write_text(text)
