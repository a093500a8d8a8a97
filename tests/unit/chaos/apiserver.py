"""A proxy between the operator's HTTP client and an apiserver of a few lines, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

from tests.chaos.proxy import Proxy, Upstream
from tests.fakes.api_server import bookmark, config_map, event

CONFIG_MAPS = "/api/v1/namespaces/shop/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/shop/leases"


@dataclass
class FakeApiserver:
    """Answers everything with 200 (201 for an apply), and every watch with its events."""

    asked: list[str] = field(default_factory=list)
    events: list[bytes] = field(
        default_factory=lambda: [event("ADDED", config_map(n, i)) for i, n in enumerate("abc", 1)]
    )
    ends: bool = True
    """Whether a watch ends behind its events."""
    version: int = 5

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.text()
        self.asked.append(f"{request.method} {request.path_qs} {body}".strip())
        if "watch" in request.query:
            return await self._watch(request)
        status = 201 if request.method == "PATCH" else 200
        return web.json_response({"metadata": {"resourceVersion": self.version}}, status=status)

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in self.events:
            await response.write(line)
        if not self.ends:
            await asyncio.Event().wait()
        return response


@dataclass
class Client:
    """What stands in for the operator."""

    proxy: Proxy
    apiserver: FakeApiserver
    http: aiohttp.ClientSession
    upstream: web.ServerRunner

    async def get(self, path: str) -> tuple[int, str]:
        """Return status and text of an answer."""
        async with self.http.get(URL(self.proxy.url + path, encoded=True)) as answer:
            return answer.status, await answer.text()

    async def apply(self, name: str, path: str = CONFIG_MAPS) -> int:
        """Return the status of a write."""
        async with self.http.patch(f"{self.proxy.url}{path}/{name}", data="{}") as answer:
            await answer.read()
            return answer.status

    async def watch(self) -> list[bytes]:
        """Return the lines of a watch until it ends, however it ends."""
        lines = []
        async with self.http.get(f"{self.proxy.url}{CONFIG_MAPS}?watch=1") as answer:
            try:
                lines.extend([line async for line in answer.content])
            except aiohttp.ClientPayloadError:
                lines.append(b"broken")
        return lines


@asynccontextmanager
async def proxied(*, seed: int = 0) -> AsyncIterator[Client]:
    """Serve a fake apiserver behind a proxy."""
    apiserver = FakeApiserver()
    runner = web.ServerRunner(web.Server(apiserver.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    proxy = Proxy(Upstream(f"http://127.0.0.1:{runner.addresses[0][1]}", None), seed=seed)
    await proxy.start()
    timeout = aiohttp.ClientTimeout(total=None)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as http:
            yield Client(proxy, apiserver, http, runner)
    finally:
        await proxy.stop()
        await runner.cleanup()


def names(lines: list[bytes]) -> str:
    """Return the objects' names of a watch, in the order in which they came."""
    known = {event("ADDED", config_map(n, i)): n for i, n in enumerate("abc", 1)}
    return "".join(known.get(line, "?") for line in lines)


__all__ = ["CONFIG_MAPS", "LEASES", "Client", "FakeApiserver", "bookmark", "names", "proxied"]
