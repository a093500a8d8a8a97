"""A small apiserver on loopback that says what a script tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

from agentsystem_operator.adapters.api_client import ApiClient
from agentsystem_operator.adapters.connection import Connection
from agentsystem_operator.adapters.metrics import Metrics

Object = dict[str, Any]


def config_map(name: str, version: int, **labels: str) -> Object:
    """A ConfigMap of ours in namespace `shop`, belonging to system `one`."""
    return {
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "labels": {"agentsystem.dev/system": "one", **labels},
        },
    }


def page(*items: Object, version: int, more: str = "") -> Object:
    """A page of a list."""
    return {"metadata": {"resourceVersion": str(version), "continue": more}, "items": list(items)}


def event(kind: str, item: Object) -> bytes:
    """A line of a watch."""
    return orjson.dumps({"type": kind, "object": item}) + b"\n"


def bookmark(version: int) -> bytes:
    """A bookmark line."""
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


def expired() -> bytes:
    """The line by which a watch says that its version is too old."""
    return event("ERROR", {"kind": "Status", "status": "Failure", "code": 410, "metadata": {}})


class Silence:
    """In a watch's script: say nothing for so long (seconds)."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


Watch = list[bytes | Silence]


class ApiServer:
    """Answers lists and watches in the order in which they were scripted."""

    def __init__(self) -> None:
        self.lists: list[Object | tuple[int, Object]] = []
        self.watches: list[Watch] = []
        self.requests: list[dict[str, str]] = []
        self.done = asyncio.Event()
        """Set when a watch was asked for that the script does not have."""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        self.requests.append(dict(request.query))
        if "watch" in request.query:
            return await self._watch(request)
        found = self.lists.pop(0)
        status, body = found if isinstance(found, tuple) else (200, found)
        return web.json_response(body, status=status)

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if not self.watches:
            self.done.set()
            await asyncio.sleep(10_000)
        for part in self.watches.pop(0):
            if isinstance(part, Silence):
                await asyncio.sleep(part.seconds)
            else:
                await response.write(part)
        return response


@asynccontextmanager
async def serve(
    answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
) -> AsyncIterator[ApiClient]:
    """Serve on loopback; yields a client of it."""
    server = web.Server(answer)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    link = Connection(f"http://127.0.0.1:{port}", None, lambda: "")
    api = ApiClient(link, metrics=Metrics())
    try:
        yield api
    finally:
        await api.close()
        await runner.cleanup()
