"""HTTP to one apiserver: one bounded attempt per call, every failure an error of `ports`.

aiohttp and orjson, since they cost a tenth of the official client's CPU. May be used by adapters
only; never retries, never logs bodies.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

from agentsystem_operator import ports
from agentsystem_operator.adapters import answers
from agentsystem_operator.adapters.connection import Connection
from agentsystem_operator.adapters.metrics import Metrics

CALL_TIMEOUT_S = 5.0
"""Between the renew deadline and the end of a Lease lie 5 s: no write may outlive them."""
CONNECT_TIMEOUT_S = 3.0
CONNECTIONS_MAX = 32
"""For calls, watches aside: each of 24 workers has one, and the event loop's TLS takes 256 KiB
for each. More in flight than that waits here instead of in the apiserver."""

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class ApiClient:
    """A session with one apiserver."""

    def __init__(
        self, connection: Connection, *, metrics: Metrics, timeout_s: float = CALL_TIMEOUT_S
    ) -> None:
        self._connection = connection
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._calls: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None

    @property
    def server(self) -> str:
        """Return the address of the apiserver."""
        return self._connection.server

    async def close(self) -> None:
        """Close all connections."""
        for session in (self._calls, self._streams):
            if session is not None:
                await session.close()

    async def call(
        self,
        verb: str,
        path: str,
        *,
        kind: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout_s: float | None = None,
    ) -> bytes:
        """Return the body of a good answer; raises an error of `ports` for anything else."""
        try:
            async with asyncio.timeout(timeout_s or self._timeout_s):
                async with self._for_calls().request(
                    _METHODS[verb],
                    self._connection.server + path,
                    params=query,
                    data=None if body is None else encode(body),
                    headers=self._headers(content_type, accept),
                    allow_redirects=False,
                ) as response:
                    content = await response.read()
        except FAILURES as exc:
            self._metrics.api_call(verb, kind, "unreachable")
            raise ports.ClusterUnreachable(f"{verb} {kind}: {type(exc).__name__}") from exc
        if _is_good(response):
            self._metrics.api_call(verb, kind, "ok")
            return content
        error = answers.error_of(response.status, response.headers, content)
        self._metrics.api_call(verb, kind, _OUTCOMES[type(error)])
        raise error

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        kind: str,
        query: Mapping[str, str],
        accept: str,
        silence_s: float,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch and yield its chunks; a silence longer than `silence_s` ends it.

        Raises the errors of `call` when it cannot be opened; one that breaks later just ends.
        """
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=silence_s
        )
        try:
            async with asyncio.timeout(self._timeout_s * 2) as opening:
                async with self._for_streams().get(
                    self._connection.server + path,
                    params=query,
                    headers=self._headers(JSON, accept),
                    timeout=timeout,
                    allow_redirects=False,
                ) as response:
                    opening.reschedule(None)
                    await self._check_opened(response, kind)
                    yield _chunks(response.content)
        except FAILURES as exc:
            self._metrics.api_call("watch", kind, "unreachable")
            raise ports.ClusterUnreachable(f"watch {kind}: {type(exc).__name__}") from exc

    async def _check_opened(self, response: aiohttp.ClientResponse, kind: str) -> None:
        if _is_good(response):
            self._metrics.api_call("watch", kind, "ok")
            return
        async with asyncio.timeout(self._timeout_s):
            error = answers.error_of(response.status, response.headers, await response.read())
        self._metrics.api_call("watch", kind, _OUTCOMES[type(error)])
        raise error

    def _headers(self, content_type: str, accept: str) -> dict[str, str]:
        return {"Content-Type": content_type, "Accept": accept, **self._connection.headers()}

    # aiohttp wants a running loop, which a constructor may lack.

    def _for_calls(self) -> aiohttp.ClientSession:
        if self._calls is None:
            self._calls = open_session(self._connection, connections=CONNECTIONS_MAX)
        return self._calls

    def _for_streams(self) -> aiohttp.ClientSession:
        if self._streams is None:
            self._streams = open_session(self._connection)
        return self._streams


def open_session(
    connection: Connection, *, authenticated: bool = False, connections: int = 0
) -> aiohttp.ClientSession:
    """Return an HTTP session that trusts the cluster's authority and shows our certificate.

    `authenticated`: each request carries the token of its moment, for users of the bare session.
    `connections`: how many it may have; 0, for watches, is as many as are asked for.
    """

    async def authenticate(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers.update(connection.headers())
        return await handler(request)

    connector = aiohttp.TCPConnector(
        limit=connections, ssl=connection.tls or False, keepalive_timeout=60
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        headers={"User-Agent": "agentsystem-operator"},
        middlewares=(authenticate,) if authenticated else (),
    )


def encode(body: Any) -> bytes:
    """Return a body as JSON that means the same when it is read as YAML.

    The apiserver parses an apply patch as YAML, which refuses some characters that JSON may hold
    raw, and turns others into blanks; as JSON escapes they pass. Characters beyond U+FFFF must
    stay raw, since YAML knows no surrogate pairs.
    """
    content = orjson.dumps(body)
    if content.isascii() and b"\x7f" not in content:
        return content
    escaped = _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", content.decode())
    return escaped.encode()


def _is_good(response: aiohttp.ClientResponse) -> bool:
    # Not `response.ok`, which takes a redirect for success.
    return HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES


async def _chunks(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield what arrives until the stream ends, breaks or falls silent."""
    while True:
        try:
            chunk = await content.readany()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return
        if not chunk:
            return
        yield chunk


# RuntimeError: what event loops raise when a descriptor is reused too early after a failed connect.
FAILURES = (aiohttp.ClientError, OSError, TimeoutError, RuntimeError)
_METHODS = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "apply": "PATCH",
    "delete": "DELETE",
}
_OUTCOMES: dict[type[ports.ClusterError], str] = {
    ports.ClusterUnreachable: "unreachable",
    ports.Refused: "refused",
    ports.ConflictLost: "conflict",
    ports.Gone: "gone",
}
