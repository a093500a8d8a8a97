"""Runs the simulator in a process: two ports, SIGTERM."""

import asyncio
import logging
import signal
import socket
from pathlib import Path

from agent_runtime import documents, listening
from agent_runtime.simulator.connection import Connections
from agent_runtime.simulator.control import ControlEndpoint
from agent_runtime.simulator.faults import Control, control_of
from agent_runtime.simulator.simulation import Simulation

BACKLOG = 2048
GRACE_SECONDS = 1.0  # for answers on their way when we are asked to stop; hanging ones never end
_TICK_SECONDS = 0.02

_log = logging.getLogger(__name__)


def load(file: Path | None) -> Control:
    """Return the control document of a JSON or YAML file; raise `Invalid` if it cannot be used."""
    if file is None:
        return Control.model_validate({})
    document = documents.parse_json_or_yaml(file.read_text())
    return control_of(document, whole="(whole file)")


async def serve(control: Control, api_at: socket.socket, control_at: socket.socket) -> None:
    """Simulate on two bound sockets until SIGTERM or SIGINT, and return."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    simulation = Simulation(control)
    api = Connections(simulation.handle, simulation.count_status)
    orders = Connections(ControlEndpoint(simulation).handle, lambda _: None)
    servers = [
        await loop.create_server(api.make, sock=api_at, backlog=BACKLOG),
        await loop.create_server(orders.make, sock=control_at, backlog=BACKLOG),
    ]
    addresses = {"address": api_at, "control_address": control_at}
    told = {name: listening.address_of(bound) for name, bound in addresses.items()}
    _log.info("simulating", extra=told)
    await asked.wait()
    for server in servers:
        server.close()
    deadline = loop.time() + GRACE_SECONDS
    while simulation.counts.in_flight and loop.time() < deadline:  # noqa: ASYNC110  # a count
        await asyncio.sleep(_TICK_SECONDS)
    api.abort()
    orders.abort()
    _log.info("stopped")
