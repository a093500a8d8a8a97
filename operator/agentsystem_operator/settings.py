"""What the operator can be told: command line flags, each with an AGENTSYSTEM_* fallback."""

import argparse
import os
import re
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from agentsystem_operator.decide import images

RUNTIME_IMAGE = "localhost/agent-runtime:dev"
NAMESPACE = "agentsystem-system"
NAMESPACE_PATTERN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
NAMESPACE_CHARACTERS = 63
CHANNEL_SERVICE = "agentsystem-operator-channel"
CHANNEL_PORT = 8443
PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one operator process."""

    namespaces: tuple[str, ...]
    """Namespaces to serve; none means all."""
    runtime_image: str
    allowed_images: tuple[str, ...]
    """Patterns of the images that a spec may name; none means all."""
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
    channel: tuple[str, int] | None
    """Address and port on which pods are heard; None: no channel."""
    channel_service: str
    """Host and port by which pods find it."""
    channel_address: str
    """Host and port of this very process, to which other replicas send pods while it leads."""


def parse(arguments: Sequence[str], env: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings; ends the process with a message when they are wrong."""
    given = _parser(env).parse_args(arguments)
    service = given.channel_service or f"{CHANNEL_SERVICE}.{given.namespace}.svc:{CHANNEL_PORT}"
    host = socket.gethostname()
    return Settings(
        namespaces=tuple(dict.fromkeys(given.namespaces)),
        runtime_image=given.runtime_image,
        allowed_images=tuple(dict.fromkeys(given.allowed_images or ())),
        kubeconfig=Path(given.kubeconfig) if given.kubeconfig else None,
        metrics_host=given.metrics_host,
        metrics_port=given.metrics_port,
        namespace=given.namespace,
        identity=given.identity or env.get("POD_UID") or f"{host}_{uuid.uuid4()}",
        instance=env.get("POD_NAME") or host,
        log_level=given.log_level,
        channel=given.channel,
        channel_service=service,
        channel_address=given.channel_address or _own_address(given.channel, env),
    )


def _own_address(channel: tuple[str, int] | None, env: Mapping[str, str]) -> str:
    """Return where this pod's channel is, "" when that is not known."""
    pod = env.get("POD_IP", "")
    if channel is None or not pod:
        return ""
    return f"[{pod}]:{channel[1]}" if ":" in pod else f"{pod}:{channel[1]}"


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise argparse.ArgumentTypeError(f"'{text}' is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _channel(text: str) -> tuple[str, int] | None:
    return _address(text) if text else None


def _named_address(text: str) -> str:
    if text:
        _address(text)
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _namespaces(text: str) -> tuple[str, ...]:
    """Return namespaces; a name goes into paths, and kopf would take a glob for a pattern."""
    names = _names(text)
    for name in names:
        if len(name) > NAMESPACE_CHARACTERS or not re.fullmatch(NAMESPACE_PATTERN, name):
            raise argparse.ArgumentTypeError(f"'{name}' cannot be the name of a namespace")
    return names


def _images(text: str) -> tuple[str, ...]:
    patterns = _names(text)
    if len(patterns) > images.PATTERNS_MAX:
        raise argparse.ArgumentTypeError(f"more than {images.PATTERNS_MAX} patterns")
    if not patterns:
        # "Nothing" and "everything" are too far apart to guess which of them was meant.
        raise argparse.ArgumentTypeError("no pattern; leave the flag out to allow all images")
    for pattern in patterns:
        if problem := images.pattern_problem(pattern):
            raise argparse.ArgumentTypeError(f"'{pattern}' {problem}")
    return patterns


class _Join(argparse.Action):
    """Joins what a flag is given each time; what the environment says stands only without it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Append the names of one more flag."""
        del parser, option_string
        before = getattr(namespace, self.dest)
        stated = before if isinstance(before, tuple) else ()
        setattr(namespace, self.dest, (*stated, *cast("tuple[str, ...]", values)))


def _parser(env: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentsystem-operator",
        description="Runs the agent systems that AgentSystem resources declare.",
        epilog="Each flag may be given as AGENTSYSTEM_<FLAG>, e.g. AGENTSYSTEM_RUNTIME_IMAGE.",
        allow_abbrev=False,
    )

    def add(flag: str, default: str | None, text: str, **more: object) -> None:
        name = flag.upper().replace("-", "_")
        value = env.get(f"AGENTSYSTEM_{name}", default)
        parser.add_argument(f"--{flag}", default=value, help=text, **more)  # type: ignore[arg-type]

    text = "comma-separated namespaces to serve (default: all)"
    add("namespaces", "", text, type=_namespaces, action=_Join)
    add("runtime-image", RUNTIME_IMAGE, "image of agents that state none")
    text = "comma-separated patterns of the images that specs may name (default: all)"
    add("allowed-images", None, text, type=_images, action=_Join)
    add("kubeconfig", "", "kubeconfig file, for runs outside a pod")
    add("metrics-host", "0.0.0.0", "address to listen on")  # noqa: S104 -- kubelet probes the pod's
    add("metrics-port", "8080", "port of /healthz, /readyz and /metrics", type=int)
    add("namespace", env.get("POD_NAMESPACE", NAMESPACE), "namespace of the Lease")
    add("identity", "", "holder of the Lease (default: POD_UID, else a random one)")
    text = "HOST:PORT to hear pods on, e.g. 0.0.0.0:8443 (default: no channel)"
    add("channel", "", text, type=_channel)
    text = "HOST:PORT by which pods find the channel (default: its Service in --namespace)"
    add("channel-service", "", text, type=_named_address)
    text = "HOST:PORT of this process's channel, told by other replicas (default: POD_IP's)"
    add("channel-address", "", text, type=_named_address)
    add("log-level", "info", "debug, info, warning or error", choices=LEVELS)
    return parser


LEVELS = ("debug", "info", "warning", "error")
