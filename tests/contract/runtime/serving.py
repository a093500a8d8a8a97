"""Real servers for tests: the runtime here or in a process of its own, and a raw upstream."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from agent_runtime.app import build, config_file, server
from agent_runtime.app.config_file import Surroundings
from tests import ports

REPOSITORY = Path(__file__).parents[3]


def config(*agents: str, script: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return a rendered config of scripted agents."""
    names = agents or ("front",)
    scripted = {"scripted": {"answers": script}} if script else {}
    return {
        "contract": "v1.0",
        "namespace": "shop",
        "system": "support",
        "entry": names[0],
        "agents": [{"name": name, "route": "chat", "instructions": "be kind"} for name in names],
        "routes": [{"name": "chat", "chain": [{"provider": "canned"}]}],
        "providers": [{"name": "canned", "type": "Scripted", **scripted}],
        "sessions": {"store": "Memory"},
    } | changes


def openai_config(base_url: str, **openai: Any) -> dict[str, Any]:
    """Return a config whose one agent asks an OpenAI-compatible endpoint."""
    section = {"baseURL": base_url, **openai}
    return config(
        routes=[{"name": "chat", "chain": [{"provider": "remote", "model": "m"}]}],
        providers=[{"name": "remote", "type": "OpenAI", "openAI": section}],
    )


@dataclass(frozen=True)
class Served:
    """Where a runtime answers."""

    url: str
    metrics_url: str
    parts: build.Runtime

    async def metrics(self) -> str:
        async with aiohttp.ClientSession() as http, http.get(self.metrics_url) as response:
            return await response.text()


@asynccontextmanager
async def serving(
    document: dict[str, Any], state: Path = Path("/nowhere"), *, channel: Path | None = None
) -> AsyncIterator[Served]:
    """Serve a config in this process, on free loopback ports."""
    surroundings = Surroundings(
        in_cluster=False, grace_seconds=5.0, state_home=state, channel=channel
    )
    parsed = config_file.parse(json.loads(json.dumps(document)), surroundings)
    listeners = server.bind("127.0.0.1", 0, 0)
    ports = [s.getsockname()[1] for s in (listeners.api, listeners.metrics)]
    async with build.runtime(parsed, surroundings) as parts:
        api = server.embedded(parts.api, grace_s=0.1)
        metrics = server.embedded(parts.metrics, grace_s=0.1)
        async with asyncio.TaskGroup() as group:
            group.create_task(api.serve(sockets=[listeners.api]))
            group.create_task(metrics.serve(sockets=[listeners.metrics]))
            while not (api.started and metrics.started):  # noqa: ASYNC110  # uvicorn has a flag
                await asyncio.sleep(0)
            url = f"http://127.0.0.1:{ports[0]}"
            yield Served(url, f"http://127.0.0.1:{ports[1]}/metrics", parts)
            api.should_exit = metrics.should_exit = True


Handler = Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Upstream:
    """A raw HTTP server that does exactly what its handler writes."""

    url: str
    requests: list[dict[str, Any]]


@asynccontextmanager
async def upstream(handler: Handler) -> AsyncIterator[Upstream]:
    """Serve `handler(request, writer)`; request has `path`, `headers` and `body`."""
    requests: list[dict[str, Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            headers = {name.lower(): value for name, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            path = head.split(" ", 2)[1]
            asked = {"path": path, "headers": headers, "body": json.loads(body or b"{}")}
            requests.append(asked)
            await handler(requests[-1], writer)
            if not writer.is_closing():
                await writer.drain()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        yield Upstream(f"http://127.0.0.1:{port}", requests)


def answer(status: int, body: Any, **headers: str) -> Handler:
    """Return a handler that answers JSON."""
    raw = json.dumps(body).encode()
    extra = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())

    async def handle(_request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(raw)}\r\n{extra}\r\n"
        writer.write(head.encode() + raw)

    return handle


EVENT_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def events(*documents: Any, done: bool = True) -> Handler:
    """Return a handler that streams events, and `[DONE]` unless told otherwise."""

    async def handle(_request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(EVENT_STREAM)
        for document in documents:
            writer.write(b"data: " + json.dumps(document).encode() + b"\n\n")
        if done:
            writer.write(b"data: [DONE]\n\n")

    return handle


def chunk(text: str | None = None, finish: str | None = None, **extra: Any) -> dict[str, Any]:
    """Return an upstream's chunk."""
    delta = {} if text is None else {"content": text}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **extra}


class Process:
    """A real `agent-runtime serve`."""

    def __init__(self, file: Path, port: int, *, tree: Path = REPOSITORY, **env: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.metrics_url = ""  # known once it is serving
        self.started: list[str] = []
        """What was logged until it served."""
        command = [
            sys.executable, "-m", "agent_runtime", "serve", "--config", str(file),
            "--host", "127.0.0.1", "--port", str(port), "--metrics-port", "0",
        ]  # fmt: skip
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("KUBERNETES_")}
        self.process = subprocess.Popen(
            command,
            cwd=tree,
            env=inherited | {"PYTHONPATH": str(tree)} | env,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_serving(self) -> None:
        """Return when the line that says so has been logged."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.started.append(line)
            if '"message":"serving"' in line:
                self.metrics_url = f"http://{json.loads(line)['metrics_address']}/metrics"
                return
        raise AssertionError(f"exited with {self.process.wait()} before serving")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        """Return the rest of stderr, once the process has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def process(
    document: dict[str, Any], folder: Path, *, tree: Path = REPOSITORY, **env: str
) -> Iterator[Process]:
    """Run a config in a process of its own; it is gone when the block ends."""
    file = folder / f"{document['entry']}-{len(document['agents'])}.json"
    file.write_text(json.dumps(document))
    running = Process(file, ports.free(), tree=tree, **env)
    try:
        running.wait_until_serving()
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()
        if running.process.stderr is not None:
            running.process.stderr.close()
