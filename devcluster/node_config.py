"""What one node runs and is configured with; pure rendering.

Inside its mount namespace a node's files are at fixed places, so every node's are alike: state
under the node's own directory, sockets on its own tmpfs.
"""

import json
from pathlib import Path

from devcluster import control_plane, layout

RUN = layout.INSIDE / "node"  # a tmpfs of the node's own
SOCKET = RUN / "containerd.sock"
CNI_BIN = "/usr/lib/cni"
OWN_CNI_BIN = layout.INSIDE_BIN / "tools"
POLICIES = RUN / "network-policies"  # where the CNI plugin and the enforcer meet
PAUSE_IMAGE = "localhost/devcluster-pause:1"


def state(node: layout.Node) -> Path:
    """Return the node's directory as seen inside the cluster."""
    return layout.INSIDE_STATE / "nodes" / node.name


def processes(node: layout.Node, *, isolated: bool) -> list[dict[str, object]]:
    """Return the node's programs, as its PID 1 reads them."""
    return [*_programs(node), *([_enforcer(node)] if isolated else [])]


def _enforcer(node: layout.Node) -> dict[str, object]:
    """Return what enforces NetworkPolicies in the node's network namespace."""
    return {
        "name": "network-policies",
        "command": [
            str(control_plane.KUBE),
            "network-policies",
            f"--kubeconfig={control_plane.CONFIGS / 'network-policies'}",
            f"--node={node.name}",
            f"--directory={POLICIES}",
            # policies never stop what a pod's own machine sends, and all share one with the
            # control plane: `kubectl proxy` and `get --raw` reach pods as on a single node
            f"--always-from={layout.GATEWAY}",
        ],
        "log": str(layout.INSIDE_STATE / "logs" / f"{node.name}-network-policies.log"),
    }


def _programs(node: layout.Node) -> list[dict[str, object]]:
    home = state(node)
    logs = layout.INSIDE_STATE / "logs"
    kube = str(control_plane.KUBE)
    containerd = [str(layout.INSIDE_BIN / "containerd" / "containerd"), "--config"]
    return [
        {
            "name": "containerd",
            "command": [*containerd, str(home / "containerd.toml")],
            "log": str(logs / f"{node.name}-containerd.log"),
        },
        {
            "name": "kubelet",
            "command": [
                kube,
                "kubelet",
                f"--config={home / 'kubelet.json'}",
                f"--kubeconfig={control_plane.CONFIGS / node.name}",
                f"--hostname-override={node.name}",
                f"--node-ip={node.ip}",
                f"--root-dir={home / 'kubelet'}",
            ],
            "log": str(logs / f"{node.name}-kubelet.log"),
            "after": str(SOCKET),
        },
        {
            "name": "kube-proxy",
            "command": [kube, "kube-proxy", f"--config={home / 'kube-proxy.json'}"],
            "log": str(logs / f"{node.name}-kube-proxy.log"),
        },
    ]


def containerd(node: layout.Node) -> str:
    """Return containerd's configuration (TOML)."""
    home = state(node)
    return f"""version = 3
root = "{home / "containerd"}"
state = "{RUN / "containerd"}"
oom_score = 0
disabled_plugins = ["io.containerd.nri.v1.nri"]

[grpc]
address = "{SOCKET}"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
# unprivileged machines refuse scores below the parent's
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{CNI_BIN}", "{OWN_CNI_BIN}"]
conf_dir = "{home / "cni"}"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false

# would be /opt/containerd, on the host's disk
[plugins."io.containerd.internal.v1.opt"]
path = "{RUN / "opt"}"
"""


def cni(node: layout.Node, *, isolated: bool) -> str:
    """Return the pod network: one routed veth per pod.

    A bridge would hide traffic between pods of one node from the Service rules unless a kernel
    module is loaded; routed pairs need none. Leases live on the tmpfs and end with the node.
    The plugin that waits for the enforcer comes last: the address is known then.
    """
    isolate = [{"type": "isolate", "directory": str(POLICIES)}] if isolated else []
    return json.dumps(
        {
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "ptp",
                    "ipMasq": False,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": str(RUN / "leases"),
                        "ranges": [[{"subnet": node.pod_cidr}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                *isolate,
            ],
        },
        indent=1,
    )


def kubelet(node: layout.Node, cgroup: str) -> str:
    """Return the kubelet's configuration."""
    keys = control_plane.KEYS
    home = state(node)
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": node.ip,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(keys / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(keys / f"{node.name}.crt"),
            "tlsPrivateKeyFile": str(keys / f"{node.name}.key"),
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup}/{node.name}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "makeIPTablesUtilChains": False,
            "clusterDNS": [layout.DNS_IP],
            "clusterDomain": "cluster.local",
            "resolvConf": str(layout.INSIDE_STATE / "resolv.conf"),
            "podLogsDir": str(home / "pod-logs"),
            "volumePluginDir": str(home / "volume-plugins"),
            "maxPods": 240,  # of the 254 addresses of the node's range
            "serializeImagePulls": False,
            # the disk is the host's: evict only when it is really full, and never drop images,
            # which no registry could give back
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
                "nodefs.inodesFree": "1%",
            },
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
        },
        indent=1,
    )
