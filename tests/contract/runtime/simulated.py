"""A simulator for tests, in this process, and a client that sees each byte of its answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from blockbuster import BlockBuster, blockbuster_ctx

from agent_runtime.simulator.connection import Connections, Handler
from agent_runtime.simulator.control import ControlEndpoint
from agent_runtime.simulator.faults import Control
from agent_runtime.simulator.simulation import Simulation

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
ANTHROPIC = {"x-api-key": "sk-ant-secret", "anthropic-version": "2023-06-01"}


@dataclass
class Simulated:
    """Where a simulator answers, and where it takes orders."""

    url: str
    control_url: str
    http: aiohttp.ClientSession

    async def order(self, **document: Any) -> dict[str, Any]:
        """Send a control document, which must be right."""
        async with self.http.put(f"{self.control_url}/control", json=document) as response:
            assert response.status == 200, await response.text()
            return dict(await response.json())

    async def counts(self) -> dict[str, Any]:
        async with self.http.get(f"{self.control_url}/control/counts") as response:
            return dict(await response.json())

    async def post(
        self, path: str, body: dict[str, Any], **headers: str
    ) -> tuple[aiohttp.ClientResponse, Any]:
        """Return the response and its JSON."""
        async with self.http.post(self.url + path, json=body, headers=headers) as response:
            return response, json.loads(await response.read())

    async def raw(self, path: str, body: dict[str, Any], **headers: str) -> "Raw":
        """Send a request over a connection of its own, and return what comes as bytes."""
        port = int(self.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n"
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        writer.write(f"{head}{more}\r\n".encode() + content)
        return Raw(reader, writer)


@dataclass
class Raw:
    """One connection, as bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: bytes = b""

    async def until(self, text: bytes, seconds: float = 10.0) -> bytes:
        """Return what has come when the text has; raise TimeoutError if it does not come."""
        async with asyncio.timeout(seconds):
            while text not in self.received:
                piece = await self.reader.read(65_536)
                assert piece, f"ended before {text!r}: {self.received!r}"
                self.received += piece
        return self.received

    async def rest(self) -> bytes:
        """Return all that comes until the connection ends; it is kept if that is a reset."""
        while piece := await self.reader.read(65_536):
            self.received += piece
        return self.received

    async def is_silent(self, seconds: float) -> bool:
        """Return whether nothing comes for so long, not even an end."""
        try:
            async with asyncio.timeout(seconds):
                self.received += await self.reader.read(1)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def listening(connections: Connections) -> AsyncIterator[str]:
    listener = await asyncio.get_running_loop().create_server(connections.make, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        connections.abort()


@asynccontextmanager
async def simulating(**document: Any) -> AsyncIterator[Simulated]:
    """Simulate in this process, on free loopback ports; blocking the loop fails the test."""
    simulation = Simulation(Control.model_validate(document))
    orders: Handler = ControlEndpoint(simulation).handle
    with blockbuster_ctx(scanned_modules=["agent_runtime"]) as detector:
        assert isinstance(detector, BlockBuster)
        async with (
            listening(Connections(simulation.handle, simulation.count_status)) as url,
            listening(Connections(orders, lambda _: None)) as control_url,
            aiohttp.ClientSession() as http,
        ):
            yield Simulated(url, control_url, http)


def ask(text: str = "hello", **more: Any) -> dict[str, Any]:
    """Return the body of a chat request."""
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def message(text: str = "hello", **more: Any) -> dict[str, Any]:
    """Return the body of a messages request."""
    return ask(text, max_tokens=100, **more)


def events(body: bytes) -> list[tuple[str | None, Any]]:
    """Return the events of a stream that is complete: name and data."""
    assert body.endswith(b"\n\n")
    found = []
    for part in body.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in part.split("\n"))
        data = fields["data"]
        found.append((fields.get("event"), data if data == "[DONE]" else json.loads(data)))
    return found
