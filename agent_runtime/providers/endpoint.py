"""One model endpoint over real HTTP: what all wire protocols share.

Sends, waits no longer than allowed, and turns everything that goes wrong into a `ProviderError`. A
wire protocol (`openai_compatible`, `anthropic`) says what is sent and reads what comes.
"""

import asyncio
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import aiohttp
import orjson

from agent_runtime.observability.tracing import here
from agent_runtime.providers import failures
from agent_runtime.providers.base import Chunk, ErrorClass, Json, ProviderError
from agent_runtime.providers.keys import KeyFile
from agent_runtime.providers.sse import EventTooLong, SseParser

MAX_ANSWER_BYTES = 16 << 20  # far above any model's longest answer
MAX_ERROR_BYTES = 65_536
STALE_SECONDS = 1.0  # by then a connection that the endpoint had closed before has told us
CONNECT_SECONDS = 10.0  # a reachable endpoint accepts at once; leaves time for the next one
BEARER = ("authorization", "Bearer ")
# what reading a JSON value of an unexpected shape raises
MALFORMED = (orjson.JSONDecodeError, AttributeError, IndexError, KeyError, TypeError)
# what the sender of a request can change, and so is told in the endpoint's words
_ABOUT_THE_REQUEST = frozenset(
    {ErrorClass.REFUSED, ErrorClass.CONTEXT_TOO_LONG, ErrorClass.CONTENT_POLICY}
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to reach a model. `timeout_s` bounds a whole answer, or a stream's silence.

    `headers` are sent with every request, beside those of the protocol. `query` ends every address.
    """

    provider: str
    base_url: str
    model: str
    timeout_s: float
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""


class TooLong(Exception):
    """More bytes than an answer may have."""


class ErrorEvent(Exception):
    """An error object where an event of the answer should be."""

    def __init__(self, error: Json) -> None:
        super().__init__()
        self.error = error


class Reading(Protocol):
    """What a protocol makes of a stream's events, and what the stream has told so far."""

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, once it has."""

    @property
    def usage(self) -> Json | None:
        """What it cost, if that was told."""

    @property
    def model(self) -> str | None:
        """Which model answers, if that was told."""

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be expected."""

    def read(self, event: bytes) -> Sequence[Json] | None:
        """Return what an event adds to the answer; None for one that is no work on it (a ping).

        Raises ErrorEvent, and what an unexpected shape raises.
        """


class Silence:
    """How long a stream may still keep us waiting; its consumer's own time does not count."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._waited_s = 0.0

    def broken(self) -> None:
        """Take note of a piece of the answer. Comments and pings are none."""
        self._waited_s = 0.0

    @asynccontextmanager
    async def wait(self) -> AsyncGenerator[None, None]:
        """Bound what is awaited inside; raises TimeoutError."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(max(self._limit_s - self._waited_s, 0.0)):
                yield
        finally:
            self._waited_s += clock() - began


class Caller:
    """Calls one endpoint with one key."""

    def __init__(
        self,
        endpoint: Endpoint,
        path: str,
        http: aiohttp.ClientSession,
        *,
        key: KeyFile | None,
        key_header: tuple[str, str] = BEARER,
        id_header: str | None = None,
    ) -> None:
        """`key_header` names the header, and what stands in it before the key.

        `id_header` is the protocol's place for an id of ours, if it has one.
        """
        self.endpoint = endpoint
        self._url = endpoint.base_url.rstrip("/") + path + endpoint.query
        self._http = http
        self._key = key
        self._key_header = key_header
        self._id_header = id_header

    @asynccontextmanager
    async def whole(
        self, body: Json, *, too_long: ErrorClass = ErrorClass.BAD_ANSWER
    ) -> AsyncGenerator[Any, None]:
        """Ask, and yield the parsed body; what the reader finds malformed is a bad answer.

        `too_long` is what an answer of more than `MAX_ANSWER_BYTES` is taken for.
        """
        limit_s = self.endpoint.timeout_s
        bounds = aiohttp.ClientTimeout(total=limit_s, connect=self._connect_s())
        async with self._post(body, bounds) as response:
            try:
                parsed = orjson.loads(await _bounded(response, MAX_ANSWER_BYTES))
                if error := failures.error_in(parsed):
                    raise self._refusal(response, error)
                yield parsed
            except TooLong as exc:
                text = f"has more to answer than {MAX_ANSWER_BYTES} bytes; ask for less at once"
                raise self.error(too_long, text) from exc
            except MALFORMED as exc:
                raise self.error(ErrorClass.BAD_ANSWER, "sent no answer of its protocol") from exc

    async def chunks(self, body: Json, reading: Reading) -> AsyncGenerator[Chunk, None]:
        """Ask, and yield the chunks of a stream; raises `broken` if it ends before its answer."""
        silence = Silence(self.endpoint.timeout_s)
        bounds = aiohttp.ClientTimeout(total=None, connect=self._connect_s())
        begun = False
        try:
            async with (
                self._post(body, bounds, silence) as response,
                aclosing(self._deltas(response, silence, reading)) as deltas,
            ):
                async for delta in deltas:
                    begun = True
                    yield Chunk(delta)
        except ProviderError as exc:
            # whatever ends an answer after its first chunk, it is a broken answer
            exc.usage = reading.usage
            if not begun:
                raise
            broken = self.error(ErrorClass.BROKEN, "broke off in the middle of its answer")
            broken.usage = reading.usage
            raise broken from exc
        yield Chunk({}, reading.finish_reason, reading.usage, reading.model)

    async def _deltas(
        self, response: aiohttp.ClientResponse, silence: Silence, reading: Reading
    ) -> AsyncGenerator[Json, None]:
        try:
            async with aclosing(_events(response, silence)) as events:
                async for event in events:
                    found = reading.read(event)
                    if found is not None:
                        silence.broken()
                    for delta in found or ():
                        yield delta
                    if reading.ended:
                        break
        except ErrorEvent as exc:
            raise self._error_event(exc.error) from exc
        except _NO_EVENT as exc:
            text = "sent something that is no event of an answer"
            raise self.error(ErrorClass.BAD_ANSWER, text) from exc
        if reading.finish_reason is None:
            raise self.error(ErrorClass.CONNECT, "ended its answer before it was complete")

    def _error_event(self, error: Json) -> ProviderError:
        found = failures.class_of(200, error)
        detail = _explained(error) if found in _ABOUT_THE_REQUEST else None
        return self.error(found, "ended its answer with an error", detail=detail)

    def error(
        self,
        error_class: ErrorClass,
        text: str,
        *,
        retry_after_s: float | None = None,
        detail: Json | None = None,
    ) -> ProviderError:
        """Return an error of this provider."""
        name = self.endpoint.provider
        message = f"provider {name!r} {text}"
        return ProviderError(error_class, name, message, retry_after_s=retry_after_s, detail=detail)

    @asynccontextmanager
    async def _post(
        self, body: Json, bounds: aiohttp.ClientTimeout, silence: Silence | None = None
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        headers = {
            "content-type": "application/json",
            **self._origin(),
            **self.endpoint.headers,
        }
        if self._key:
            name, prefix = self._key_header
            headers[name] = f"{prefix}{await self._key.value()}"
        try:
            # no redirects: they would carry the key and the conversation elsewhere
            send = functools.partial(
                self._http.post,
                self._url,
                data=orjson.dumps(body),
                headers=headers,
                timeout=bounds,
                allow_redirects=False,
            )
            async with await _asked(send, silence) as response:
                if response.status != 200:
                    raise self._refusal(response, await _error_of(response))
                yield response
        except aiohttp.ConnectionTimeoutError as exc:
            raise self.error(ErrorClass.CONNECT, "cannot be reached") from exc
        except TimeoutError as exc:
            text = f"did not answer within {self.endpoint.timeout_s:g} s"
            raise self.error(ErrorClass.TIMEOUT, text) from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise self.error(ErrorClass.CONNECT, "cannot be reached") from exc

    def _refusal(self, response: aiohttp.ClientResponse, error: Json | None) -> ProviderError:
        found = failures.class_of(response.status, error)
        text = f"answered HTTP {response.status}"
        return self.error(
            found,
            text if response.status != 200 else "answered with an error",
            retry_after_s=failures.retry_after_s(response.headers, datetime.now(UTC)),
            detail=_explained(error) if found in _ABOUT_THE_REQUEST else None,
        )

    def _origin(self) -> dict[str, str]:
        """Return the headers that say which request of ours this belongs to."""
        place = here.current()
        if place is None:
            return {}
        named = {self._id_header: place.request_id} if self._id_header else {}
        return named | place.trace_headers()

    def _connect_s(self) -> float:
        return min(self.endpoint.timeout_s, CONNECT_SECONDS)


Send = Callable[[], Awaitable[aiohttp.ClientResponse]]


async def _asked(send: Send, silence: Silence | None) -> aiohttp.ClientResponse:
    """Return the response; ask once more if a kept connection turns out to be closed."""
    clock = asyncio.get_running_loop().time
    asked_at = clock()
    try:
        return await _headers(send, silence)
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as exc:
        late = clock() - asked_at > STALE_SECONDS
        if late or isinstance(exc, aiohttp.ClientConnectorError):
            raise
    return await _headers(send, silence)


async def _headers(send: Send, silence: Silence | None) -> aiohttp.ClientResponse:
    if silence is None:
        return await send()
    async with silence.wait():  # headers that trickle in are silence too
        return await send()


async def _events(
    response: aiohttp.ClientResponse, silence: Silence
) -> AsyncGenerator[bytes, None]:
    """Yield the data of each event."""
    parser, size = SseParser(), 0
    while True:
        async with silence.wait():
            received = await response.content.readany()
        if not received:
            return
        size += len(received)
        if size > MAX_ANSWER_BYTES:
            raise TooLong
        for event in parser.feed(received):
            yield event


# what reading a stream's event raises when it is none of the protocol
_NO_EVENT = (*MALFORMED, EventTooLong, TooLong)


def _explained(error: Json | None) -> Json | None:
    """Return the endpoint's own explanation in OpenAI's shape."""
    if error is None:
        return None
    return {key: error.get(key) for key in ("message", "type", "param", "code")}


async def _error_of(response: aiohttp.ClientResponse) -> Json | None:
    """Return the error object of a bad answer, if it has one."""
    try:
        return failures.error_in(orjson.loads(await _bounded(response, MAX_ERROR_BYTES)))
    except (*MALFORMED, TooLong):
        return None


async def _bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for received in response.content.iter_any():
        body += received
        if len(body) > limit:
            raise TooLong
    return bytes(body)
