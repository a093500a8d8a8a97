"""What `up` decided about a cluster, kept in its directory for the supervisor and for later."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from devcluster import layout
from devcluster.errors import DevClusterError


@dataclass(frozen=True)
class Settings:
    """Number of nodes, loopback port on the host, where each Go module's programs are, way out.

    `controller_qps` is the client rate of the controllers in requests/s, 0 for upstream's own.
    """

    nodes: int
    port: int
    binaries: dict[str, str]
    egress: bool = False
    fake_nodes: int = 0
    controller_qps: int = 0


def write(cluster: layout.Cluster, settings: Settings) -> None:
    """Write the settings, whole or not at all."""
    part = cluster.settings.with_suffix(".part")
    part.write_text(json.dumps(asdict(settings), indent=1))
    part.replace(cluster.settings)


def read(cluster: layout.Cluster) -> Settings | None:
    """Return the settings, or None where the cluster was never brought up."""
    try:
        raw = json.loads(cluster.settings.read_text())
        numbers = int(raw["nodes"]), int(raw["port"])
        # what a cluster of an earlier version does not mention it does not have
        return Settings(
            *numbers,
            dict(raw["binaries"]),
            egress=bool(raw.get("egress", False)),
            fake_nodes=int(raw.get("fake_nodes", 0)),
            controller_qps=int(raw.get("controller_qps", 0)),
        )
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError) as exc:
        raise DevClusterError(
            f"{cluster.settings} is damaged ({exc}); "
            f"run: python3 -m devcluster down --name {cluster.name}"
        ) from exc


def binaries(directories: dict[str, Path]) -> dict[str, str]:
    """Return directories as the settings keep them."""
    return {name: str(path) for name, path in directories.items()}
