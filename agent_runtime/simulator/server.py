"""Runs the simulator in a process: two ports, SIGTERM."""

import asyncio
import logging
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

import orjson

from agent_runtime import documents
from agent_runtime.simulator.connection import Connections
from agent_runtime.simulator.control import ControlEndpoint
from agent_runtime.simulator.faults import Control, parse_control
from agent_runtime.simulator.simulation import Simulation

BACKLOG = 2048
GRACE_SECONDS = 1.0  # for answers on their way when we are asked to stop; hanging ones never end
_TICK_SECONDS = 0.02

_log = logging.getLogger(__name__)


class CannotListen(Exception):  # the condition is the name
    """An address cannot be bound; give up."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Bound sockets."""

    api: socket.socket
    control: socket.socket


def bind(host: str, port: int, control_host: str, control_port: int) -> Listeners:
    """Return both listening sockets, or raise `CannotListen` that names the address."""
    return Listeners(_bound(host, port), _bound(control_host, control_port))


def _bound(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise CannotListen(f"cannot listen on {host}:{port}: {exc.strerror}") from exc
    listener.setblocking(False)
    return listener


def load(file: Path | None) -> Control:
    """Return the control document of a JSON or YAML file; raise `Invalid` if it cannot be used."""
    if file is None:
        return Control.model_validate({})
    document = documents.parse_json_or_yaml(file.read_text())
    return parse_control(orjson.dumps({} if document is None else document))


async def serve(control: Control, listeners: Listeners) -> None:
    """Simulate until SIGTERM or SIGINT, and return."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    simulation = Simulation(control)
    api = Connections(simulation.handle, simulation.count_status)
    orders = Connections(ControlEndpoint(simulation).handle, lambda _: None)
    servers = [
        await loop.create_server(api.make, sock=listeners.api, backlog=BACKLOG),
        await loop.create_server(orders.make, sock=listeners.control, backlog=BACKLOG),
    ]
    addresses = {"address": listeners.api, "control_address": listeners.control}
    _log.info("simulating", extra={name: _address(s) for name, s in addresses.items()})
    await asked.wait()
    for server in servers:
        server.close()
    deadline = loop.time() + GRACE_SECONDS
    while simulation.counts.in_flight and loop.time() < deadline:  # noqa: ASYNC110  # a count
        await asyncio.sleep(_TICK_SECONDS)
    api.abort()
    orders.abort()
    _log.info("stopped")


def _address(listener: socket.socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"{host}:{port}"
