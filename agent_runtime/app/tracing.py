"""Builds what `monitoring.otlp` of a config asks for."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from agent_runtime.app.config_file import Surroundings
from agent_runtime.app.contract import Config
from agent_runtime.observability.metrics import Metrics
from agent_runtime.observability.tracing import exporter
from agent_runtime.observability.tracing.exporter import Exporter
from agent_runtime.observability.tracing.headers import HeaderFile
from agent_runtime.observability.tracing.spans import Tracer
from agent_runtime.secret_files import SecretFile

PATH = "/v1/traces"


@asynccontextmanager
async def opened(
    config: Config, surroundings: Surroundings, http: aiohttp.ClientSession, metrics: Metrics
) -> AsyncIterator[Tracer | None]:
    """Export meanwhile; None where there is nowhere to."""
    otlp = config.monitoring.otlp if config.monitoring else None
    if otlp is None:
        yield None
        return
    place = otlp.headers
    headers = HeaderFile(SecretFile(Path(place.file), place.origin)) if place else None
    resource = _resource(config, in_cluster=surroundings.in_cluster)
    url = otlp.endpoint.rstrip("/") + PATH
    sink = Exporter(url, resource, http, metrics.traces, headers=headers)
    async with exporter.running(sink):
        yield Tracer(sink, ratio=otlp.sampling_ratio, captures_content=otlp.capture_content)


def _resource(config: Config, *, in_cluster: bool) -> dict[str, str]:
    """Return whose spans they are; a process with all agents is the system itself."""
    agents = [agent.name for agent in config.agents]
    name = f"{config.system}--{agents[0]}" if len(agents) == 1 else config.system
    pod = socket.gethostname()
    where = {"k8s.namespace.name": config.namespace, "k8s.pod.name": pod} if in_cluster else {}
    return {
        "service.name": name,
        "service.namespace": config.namespace,
        "service.instance.id": pod,
        "agentsystem.system": config.system,
        "telemetry.sdk.name": "agentsystem",
        "telemetry.sdk.language": "python",
        **where,
    }
