"""Bring built images to where they run: the nodes of dev clusters, or a registry of the user's."""

from __future__ import annotations

import concurrent.futures
import sys

from devcluster import launch, layout
from images import build, tools


def running_clusters() -> tuple[str, ...]:
    """The names of the dev clusters that run on this machine."""
    folders = sorted((layout.state_home() / "clusters").glob("*"))
    return tuple(folder.name for folder in folders if launch.alive(layout.cluster(folder.name)))


def load(built: tuple[build.Built, ...], cluster: str) -> None:
    """Load every image into every node of one dev cluster, side by side."""
    command = (sys.executable, "-m", "devcluster", "load-image", "--name", cluster)
    with (
        tools.step(f"loading {len(built)} images into cluster {cluster!r}"),
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        list(pool.map(lambda image: tools.run(*command, str(image.archive)), built))


def push(built: tuple[build.Built, ...], repository: str, tag: str) -> None:
    """Push every image to `<repository>/<name>:<tag>`, with the credentials buildah finds."""
    for image in built:
        to = image.image.reference(repository=repository, tag=tag)
        with tools.step(f"pushing {to}"):
            pulled = build.buildah("pull", "--quiet", f"oci-archive:{image.archive}").strip()
            build.buildah("push", "--quiet", pulled, f"docker://{to}")
