"""Where a demo can run: on a dev cluster of its own, or (`existing.py`) on a cluster of the user's.

The story is the same in both places; what differs is how the cluster is reached, how its nodes get
the images, and how the user goes on afterwards.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from typing import Protocol

from agentsystem_cli import cluster
from demo import terminal
from images import build, deliver


@dataclasses.dataclass(frozen=True)
class Names:
    """The images as the cluster's nodes know them."""

    operator: str
    runtime: str
    key: str = ""
    """Of the operator's archive: another image under the same name must roll its pods."""


@dataclasses.dataclass(frozen=True)
class GoOn:
    """How the user goes on where the demo ran."""

    settings: str
    """Lines for the shell, so that `kubectl` means this cluster."""
    context: str
    """What `agentsystem` needs to find it."""
    remove: str
    """The command that takes the demo away, and what that does."""


class Place(Protocol):
    """A cluster to run the demo on."""

    @property
    def cluster_title(self) -> str:
        """Title of the first step."""

    @property
    def images_title(self) -> str:
        """Title of the second step."""

    def prepare(self) -> None:
        """Have the cluster running, or say why it is not to be used."""

    def bring_images(self) -> Names:
        """Have the images where the nodes can start them."""

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl on this cluster."""

    def connect(self, namespace: str) -> cluster.Cluster:
        """The cluster as the command line sees it."""

    def marks(self) -> dict[str, str]:
        """Labels for everything that is installed, to be found again by."""

    def go_on(self) -> GoOn:
        """How the user goes on here."""


@dataclasses.dataclass(frozen=True)
class DevCluster:
    """A dev cluster of that name on this machine, raised when need be."""

    name: str
    nodes: int

    @property
    def cluster_title(self) -> str:
        """Title of the first step."""
        return f"A Kubernetes cluster with {self.nodes} nodes (cluster '{self.name}')"

    @property
    def images_title(self) -> str:
        """Title of the second step."""
        return "The two images, built and loaded into every node"

    def prepare(self) -> None:
        """Raise it; fine when it runs."""
        terminal.devcluster("up", "--name", self.name, "--nodes", str(self.nodes), show=True)

    def bring_images(self) -> Names:
        """Build both images and load them into every node."""
        built = build.build_all()
        deliver.load(built, self.name)
        return names_of(built)

    def kubeconfig(self) -> str:
        """The path of the cluster's kubeconfig; the user's own one is never touched."""
        return terminal.devcluster("kubeconfig", "--name", self.name).strip()

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl as the cluster's admin."""
        return terminal.devcluster("kubectl", "--name", self.name, "--", *arguments)

    def connect(self, namespace: str) -> cluster.Cluster:
        """The cluster behind its own kubeconfig."""
        return cluster.connect(self.kubeconfig(), None, namespace)

    def marks(self) -> dict[str, str]:
        """None: the whole cluster is the demo's."""
        return {}

    def go_on(self) -> GoOn:
        """With the cluster's kubeconfig; without a kubectl of the user's, with its own."""
        own = f"  alias kubectl='{sys.executable} -m devcluster kubectl --name {self.name} --'\n"
        return GoOn(
            settings=f'  export KUBECONFIG={self.kubeconfig()} PATH="$PWD/bin:$PATH"\n'
            + ("" if shutil.which("kubectl") else own),
            context="",
            remove="`make demo-down` removes the cluster and everything in it.",
        )


def names_of(built: tuple[build.Built, ...]) -> Names:
    """The names under which archives are known once they are loaded."""
    by_target = {each.image.target: each for each in built}
    return Names(
        operator=by_target["operator"].image.reference(),
        runtime=by_target["runtime"].image.reference(),
        key=by_target["operator"].key,
    )
