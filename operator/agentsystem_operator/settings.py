"""What the operator can be told: command line flags, each with an AGENTSYSTEM_* fallback."""

import argparse
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RUNTIME_IMAGE = "localhost/agent-runtime:dev"
NAMESPACE = "agentsystem-system"


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one operator process."""

    namespaces: tuple[str, ...]
    """Namespaces to serve; none means all."""
    runtime_image: str
    kubeconfig: Path | None
    """None: the pod's own service account."""
    metrics_host: str
    metrics_port: int
    namespace: str
    """Where the Lease is."""
    identity: str
    """Who holds the Lease: the pod's uid, so that a restart in place goes on at once."""
    instance: str
    """Who reports Events: the pod's name."""
    log_level: str


def parse(arguments: Sequence[str], env: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings; ends the process with a message when they are wrong."""
    given = _parser(env).parse_args(arguments)
    names = tuple(name.strip() for name in given.namespaces.split(",") if name.strip())
    host = socket.gethostname()
    return Settings(
        namespaces=tuple(dict.fromkeys(names)),
        runtime_image=given.runtime_image,
        kubeconfig=Path(given.kubeconfig) if given.kubeconfig else None,
        metrics_host=given.metrics_host,
        metrics_port=given.metrics_port,
        namespace=given.namespace,
        identity=given.identity or env.get("POD_UID") or f"{host}_{uuid.uuid4()}",
        instance=env.get("POD_NAME") or host,
        log_level=given.log_level,
    )


def _parser(env: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentsystem-operator",
        description="Runs the agent systems that AgentSystem resources declare.",
        epilog="Each flag may be given as AGENTSYSTEM_<FLAG>, e.g. AGENTSYSTEM_RUNTIME_IMAGE.",
        allow_abbrev=False,
    )

    def add(flag: str, default: str, text: str, **more: object) -> None:
        name = flag.upper().replace("-", "_")
        value = env.get(f"AGENTSYSTEM_{name}", default)
        parser.add_argument(f"--{flag}", default=value, help=text, **more)  # type: ignore[arg-type]

    add("namespaces", "", "comma-separated namespaces to serve (default: all)")
    add("runtime-image", RUNTIME_IMAGE, "image of agents that state none")
    add("kubeconfig", "", "kubeconfig file, for runs outside a pod")
    add("metrics-host", "0.0.0.0", "address to listen on")  # noqa: S104 -- kubelet probes the pod's
    add("metrics-port", "8080", "port of /healthz, /readyz and /metrics", type=int)
    add("namespace", env.get("POD_NAMESPACE", NAMESPACE), "namespace of the Lease")
    add("identity", "", "holder of the Lease (default: POD_UID, else a random one)")
    add("log-level", "info", "debug, info, warning or error", choices=LEVELS)
    return parser


LEVELS = ("debug", "info", "warning", "error")
