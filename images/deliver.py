"""Bring built images to where they run: the nodes of dev clusters, or a registry of the user's."""

from __future__ import annotations

import concurrent.futures
import shlex
import sys
import tomllib

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


def hand_over(built: tuple[build.Built, ...], command: str) -> None:
    """Run the user's command once for each image, with the archive's path as last argument.

    The command is split as a shell would and run without one. It has done its work when it ends
    with 0: the cluster's nodes know the image by the name that the archive holds.
    """
    for image in built:
        with tools.step(f"{command} {image.archive.name}"):
            tools.run(*shlex.split(command), str(image.archive))


def push(built: tuple[build.Built, ...], repository: str, tag: str) -> None:
    """Push every image to `<repository>/<name>:<tag>`, with the credentials buildah finds."""
    for image in built:
        to = image.image.reference(repository=repository, tag=tag)
        with tools.step(f"pushing {to}"):
            pulled = build.buildah("pull", "--quiet", f"oci-archive:{image.archive}").strip()
            build.buildah("push", "--quiet", pulled, f"docker://{to}")


def version() -> str:
    """The project's version, which names a released image."""
    project = tomllib.loads((build.ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])
