"""Keys, certificates and kubeconfigs of a cluster.

The standard library cannot make certificates, so a small Go tool does; this module says which.
The front proxy has an authority of its own: the apiserver refuses to start when it is the
clients' one, since every client could then speak for anyone.
"""

import base64
import json
import subprocess
from pathlib import Path

from devcluster import layout
from devcluster.errors import DevClusterError

ADMINS = "system:masters"

# user name -> groups, for each component that logs in with a certificate
CLIENTS = {
    "admin": ("devcluster-admin", [ADMINS]),
    "kube-controller-manager": ("system:kube-controller-manager", []),
    "kube-scheduler": ("system:kube-scheduler", []),
    "kube-proxy": ("system:kube-proxy", []),
    "coredns": ("system:devcluster:coredns", []),
    "metrics-server": ("system:devcluster:metrics-server", []),
    "provisioner": ("system:devcluster:provisioner", []),
    "kwok": ("system:devcluster:kwok", []),
    "supervisor": ("devcluster-supervisor", [ADMINS]),
    # the apiserver's own identity towards kubelets
    "apiserver-kubelet-client": ("kube-apiserver-kubelet-client", [ADMINS]),
}

APISERVER_HOSTS = [
    "localhost",
    "127.0.0.1",
    layout.GATEWAY,
    layout.KUBERNETES_IP,
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
]


def wanted(nodes: tuple[layout.Node, ...]) -> dict[str, object]:
    """Return the list of keys and certificates, as the Go tool reads it."""
    leaves = [_leaf("apiserver", "kube-apiserver", [], APISERVER_HOSTS)]
    leaves += [_leaf(name, user, groups, []) for name, (user, groups) in CLIENTS.items()]
    for node in nodes:
        user = f"system:node:{node.name}"
        leaves.append(_leaf(node.name, user, ["system:nodes"], [node.name, node.ip]))
    leaves.append(_leaf("front-proxy-client", "front-proxy-client", [], [], "front-proxy-ca"))
    return {
        "authorities": ["ca", "front-proxy-ca"],
        "keyPairs": ["service-account"],
        "leaves": leaves,
    }


def _leaf(
    name: str, user: str, groups: list[str], hosts: list[str], authority: str = "ca"
) -> dict[str, object]:
    return {
        "name": name,
        "authority": authority,
        "commonName": user,
        "organizations": groups,
        "hosts": hosts,
    }


def make(tools: Path, directory: Path, nodes: tuple[layout.Node, ...]) -> None:
    """Create the missing keys and certificates in a directory that only its owner can enter."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    done = subprocess.run(
        [str(tools / "devcluster-tools"), "certs", str(directory)],
        input=json.dumps(wanted(nodes)),
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise DevClusterError(f"cannot make certificates in {directory}: {done.stderr.strip()}")


def kubeconfig(server: str, keys: Path, name: str, context: str) -> str:
    """Return a kubeconfig that holds its keys by value, so that it can be copied anywhere."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context,
            "clusters": [
                {
                    "name": context,
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": _base64(keys / "ca.crt"),
                    },
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": {
                        "client-certificate-data": _base64(keys / f"{name}.crt"),
                        "client-key-data": _base64(keys / f"{name}.key"),
                    },
                }
            ],
            "contexts": [{"name": context, "context": {"cluster": context, "user": name}}],
        },
        indent=1,
    )


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(path)
