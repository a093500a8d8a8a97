"""Passes a request on to the sibling that its `model` names, and the answer back.

Invariants: a request is passed on once at most (the hop header); a stream is passed back in whole
events, so that a break can still be told in a frame of its own.
"""

import asyncio
import random

import aiohttp
import orjson

from agent_runtime.agents.directory import Sibling
from agent_runtime.app import limits, receipts
from agent_runtime.app.asgi import Reply, Request
from agent_runtime.app.errors import SERVER, ApiError
from agent_runtime.guard.siblings import Voucher
from agent_runtime.observability.tracing import here

HOP_HEADER = b"x-agentsystem-hop"
_PASSED_ON = (b"x-session-id", b"cache-control")
_PASSED_BACK = ("content-type", "retry-after", "x-should-retry")
_TIMEOUT = aiohttp.ClientTimeout(
    total=None,
    connect=limits.FORWARD_CONNECT_SECONDS,
    sock_read=limits.FORWARD_SILENCE_SECONDS,
)
_EVENT_END = b"\n\n"


class Forwarder:
    """Speaks to siblings over a client of its own, one connection per request.

    A kept connection would tie us to one pod of the Service, and could be closed by a pod that
    leaves in the very moment in which we use it.
    """

    def __init__(self, http: aiohttp.ClientSession, voucher: Voucher | None = None) -> None:
        """`voucher` tells siblings who asks, where they want to know."""
        self._http = http
        self._voucher = voucher

    async def forward(
        self, sibling: Sibling, body: bytes, named: str | None, request: Request, reply: Reply
    ) -> None:
        """Answer a request, which named `named`, with what the sibling answers to it."""
        if request.header(HOP_HEADER) is not None:
            text = f"the request has been passed on already, and {sibling.name!r} is not here"
            raise ApiError(508, text, SERVER, param="model", code="forwarding_loop")
        if named != sibling.name:
            body = orjson.dumps({**orjson.loads(body), "model": sibling.name})
        headers = {
            "content-type": "application/json",
            "x-request-id": request.id,
            HOP_HEADER.decode(): "1",
            **here.trace_headers(),
        }
        for name in _PASSED_ON:
            if value := request.header(name):
                headers[name.decode()] = value
        url = sibling.url.rstrip("/") + request.path  # one of ours, or nobody would be here
        if self._voucher is not None:
            headers |= await self._voucher.headers(request.principal)
        await self._pass(sibling, url, body, headers, reply)

    async def _pass(
        self, sibling: Sibling, url: str, body: bytes, headers: dict[str, str], reply: Reply
    ) -> None:
        try:
            async with await self._post(url, body, headers) as response:
                reply.tell(
                    [
                        (name.encode(), response.headers[name].encode("latin-1"))
                        for name in receipts.ALL
                        if name in response.headers
                    ]
                )
                if response.content_type == "text/event-stream" and response.status == 200:
                    await _pass_stream(response, reply)
                else:
                    await _pass_body(response, reply)
        except TimeoutError as exc:
            raise _unreachable(sibling, "did not answer in time", 504) from exc
        except (aiohttp.ClientError, OSError) as exc:
            # once a stream has begun, the reply turns this into its last frame
            raise _unreachable(sibling, "cannot be reached", 502) from exc

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> aiohttp.ClientResponse:
        for attempt in range(limits.FORWARD_ATTEMPTS):
            try:
                return await self._http.post(
                    url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False
                )
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                # nothing was sent, so trying again cannot ask twice
                if attempt == limits.FORWARD_ATTEMPTS - 1:
                    raise
                jitter = random.uniform(0.5, 1.5)  # noqa: S311  # no secret
                await asyncio.sleep(limits.FORWARD_PAUSE_SECONDS * 2**attempt * jitter)
        raise AssertionError("unreachable: the last attempt returns or raises")


async def _pass_body(response: aiohttp.ClientResponse, reply: Reply) -> None:
    body = bytearray()
    async for received in response.content.iter_any():
        body += received
        if len(body) > limits.MAX_FORWARDED_BYTES:
            raise ApiError(502, "the sibling's answer is too large", SERVER, code="agent_error")
    headers = [
        (name.encode(), response.headers[name].encode("latin-1"))
        for name in _PASSED_BACK
        if name in response.headers
    ]
    await reply.body(response.status, bytes(body), headers)


async def _pass_stream(response: aiohttp.ClientResponse, reply: Reply) -> None:
    await reply.begin_stream()
    rest = b""
    async for received in response.content.iter_any():
        whole, end, rest = (rest + received).rpartition(_EVENT_END)
        if len(rest) > limits.MAX_BODY_BYTES:
            raise ApiError(502, "the sibling's event is too large", SERVER, code="agent_error")
        if end:
            await reply.events(whole + end)
    await reply.end_stream()


def _unreachable(sibling: Sibling, what: str, status: int) -> ApiError:
    return ApiError(status, f"agent {sibling.name!r} {what}", SERVER, code="agent_unreachable")
