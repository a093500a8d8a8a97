"""An apiserver that lies and fails on demand: a TLS reverse proxy in front of the real one.

The operator's kubeconfig points here. Each request is numbered and remembered, then a script says
what is to become of it; each event of a watch likewise (`streams`). With no script it changes
nothing. One proxy serves one operator process after the other; two that run at once have one each.
"""

from __future__ import annotations

import asyncio
import ssl
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NoReturn

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from tests.chaos.faults import (
    Answer,
    Delay,
    Fault,
    HalfAnswer,
    Hang,
    RequestScript,
    Reset,
    Signal,
    calm,
)
from tests.chaos.past import Key, Past, View, key_of
from tests.chaos.record import Entry, Record
from tests.chaos.streams import Broken, Streams, status_object

PASSED_ON = ("Authorization", "Accept", "Content-Type", "User-Agent")
PASSED_BACK = ("Content-Type", "Retry-After", "Warning")
LINE_MAX = 4 * 1024 * 1024
UPSTREAM_S = 60.0
"""The longest that an apiserver is waited for; what hangs longer hangs on purpose, here."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """The real apiserver."""

    server: str
    tls: ssl.SSLContext | None


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Proxy:
    """One proxy; `script`, `streams.script`, `streams.gate` and `view` may be changed any time."""

    def __init__(
        self, upstream: Upstream, *, tls: ssl.SSLContext | None = None, seed: int = 0
    ) -> None:
        self.record = Record(seed)
        self.streams = Streams(seed=seed)
        self.view = View()
        self.script: RequestScript = calm
        self.signalled: Callable[[str], Coroutine[Any, Any, None]] = _nothing
        """Called with a Signal's name, e.g. to kill the operator; awaited before going on."""
        self.port = 0
        self._upstream = upstream
        self._tls = tls
        self._lists: dict[Key, tuple[str, dict[str, str]]] = {}
        self._connections: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._dead: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._running: set[asyncio.Task[Any]] = set()
        self._runner: web.ServerRunner | None = None
        self._http: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        """Return the address that a kubeconfig names."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen on a free port of loopback."""
        connector = aiohttp.TCPConnector(limit=0, ssl=self._upstream.tls or False)
        self._http = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            read_bufsize=LINE_MAX,
            headers={"Accept-Encoding": "identity"},
        )
        # A reader that goes away ends its handler, and so its watch at the apiserver; writes that
        # were forwarded are shielded from that, as they are on a real network.
        server = web.Server(self._handle, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._running:
            await asyncio.wait(self._running, timeout=UPSTREAM_S)
        if self._http is not None:
            await self._http.close()

    def half_open(self) -> None:
        """Let every connection of now fall silent for ever, in both directions, and stay open."""
        for transport in list(self._connections):
            self._dead.add(transport)
            transport.pause_reading()

    async def snapshot(self) -> Past:
        """Return the present as every list that was ever asked for shows it."""
        names = list(self._lists)
        replies = await asyncio.gather(
            *(self._call("GET", path, headers, b"") for path, headers in self._lists.values())
        )
        return Past({name: reply.body for name, reply in zip(names, replies, strict=True)})

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if (transport := request.transport) is not None:
            self._connections.add(transport)
        body = await request.read()
        await self._heard(request)
        entry = self.record.begin(request.method, request.path, dict(request.query))
        entry.fault = self.script(entry.asked)
        if (spoilt := await self._before(request, entry, entry.fault)) is not None:
            return spoilt
        if entry.asked.verb == "watch":
            return await self._watch(request, entry)
        try:
            reply = await self._reply(request, entry, body)
        except (aiohttp.ClientError, TimeoutError):
            # An apiserver that is away: whoever asked sees a broken connection, as without us.
            await _break(request)
        await self._after(request, reply, entry.fault)
        await self._heard(request)
        entry.replied = reply.status
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)

    async def _heard(self, request: web.BaseRequest) -> None:
        """Return at once, or never when the connection is dead."""
        if request.transport in self._dead:
            await asyncio.Event().wait()

    async def _before(
        self, request: web.BaseRequest, entry: Entry, fault: Fault | None
    ) -> web.Response | None:
        """Do what a fault does in front of the apiserver; an answer if that is all."""
        match fault:
            case Answer():
                entry.replied = fault.status
                return _refusal(fault)
            case Delay(seconds=seconds):
                await asyncio.sleep(seconds)
            case Hang(seconds=seconds):
                await asyncio.sleep(seconds)
                await _break(request)
            case Reset(after_commit=False):
                await _break(request)
            case Signal(after_commit=False, forward=forward):
                await self._signal(fault.name)
                if not forward:
                    await _break(request)
            case _:
                pass
        return None

    async def _signal(self, name: str) -> None:
        # The operator's end breaks its connections, and that cancels whoever serves them.
        task = asyncio.create_task(self.signalled(name))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.shield(task)

    async def _reply(self, request: web.BaseRequest, entry: Entry, body: bytes) -> _Reply:
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        if entry.asked.verb == "list":
            self._lists[key_of(request)] = (request.raw_path, headers)
            if (past := self.view.listed(request)) is not None:
                return _Reply(200, {"Content-Type": "application/json"}, past)
        task = asyncio.create_task(
            self._commit(entry, request.method, request.raw_path, headers, body)
        )
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _commit(
        self, entry: Entry, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> _Reply:
        reply = await self._call(method, path, headers, body)
        entry.upstream, entry.answered = reply.status, asyncio.get_running_loop().time()
        return reply

    async def _call(self, method: str, path: str, headers: dict[str, str], body: bytes) -> _Reply:
        assert self._http is not None
        url = URL(self._upstream.server + path, encoded=True)
        async with (
            asyncio.timeout(UPSTREAM_S),
            self._http.request(method, url, headers=headers, data=body or None) as answer,
        ):
            return _Reply(answer.status, _back(answer), await answer.read())

    async def _after(self, request: web.BaseRequest, reply: _Reply, fault: Fault | None) -> None:
        """Do what a fault does between the apiserver's answer and ours."""
        match fault:
            case Reset(after_commit=True):
                await _break(request)
            case HalfAnswer():
                response = web.StreamResponse(status=reply.status, headers=reply.headers)
                response.content_length = len(reply.body)
                await response.prepare(request)
                await response.write(reply.body[: len(reply.body) // 2])
                await _break(request)
            case Signal(after_commit=True, forward=forward):
                await self._signal(fault.name)
                if not forward:
                    await _break(request)
            case _:
                pass

    async def _watch(self, request: web.BaseRequest, entry: Entry) -> web.StreamResponse:
        assert self._http is not None
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if not self.view.present.is_set():
            # A stale apiserver accepts a watch, and has nothing to tell.
            await response.prepare(request)
            entry.replied = response.status
            await self.view.present.wait()
        url = URL(self._upstream.server + request.raw_path, encoded=True)
        try:
            async with self._http.get(url, headers=headers) as answer:
                entry.upstream = answer.status
                if answer.status != web.HTTPOk.status_code and not response.prepared:
                    body = await answer.read()
                    return web.Response(status=answer.status, headers=_back(answer), body=body)
                if not response.prepared:
                    await response.prepare(request)
                    entry.replied = response.status
                await self._pump(request, entry, answer.content, response)
        except aiohttp.ClientError:
            await _break(request)
        return response

    async def _pump(
        self,
        request: web.BaseRequest,
        entry: Entry,
        content: aiohttp.StreamReader,
        response: web.StreamResponse,
    ) -> None:
        async def write(line: bytes) -> None:
            await self._heard(request)
            await response.write(line)

        try:
            await self.streams.relay(entry.asked, content, write)
        except Broken:
            await _break(request)


async def _nothing(_: str) -> None:
    """Take a signal that nobody waits for."""


async def _break(request: web.BaseRequest) -> NoReturn:
    """Break the operator's connection; never returns, since that ends whoever serves it."""
    if request.transport is not None:
        request.transport.abort()
    while True:
        await asyncio.Event().wait()


def _refusal(fault: Answer) -> web.Response:
    headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
    body = status_object(fault.status, fault.reason, retry_after_s=fault.retry_after_s)
    return web.Response(
        status=fault.status,
        headers=headers,
        body=orjson.dumps(body),
        content_type="application/json",
    )


def _back(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
