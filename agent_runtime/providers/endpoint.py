"""One model endpoint over real HTTP: what all wire protocols share.

Sends, waits no longer than allowed, and turns everything that goes wrong into a `ProviderError`. A
wire protocol (`openai_compatible`, `anthropic`) says what is sent and reads what comes.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import orjson

from agent_runtime.observability.tracing import here
from agent_runtime.providers import connections, failures
from agent_runtime.providers.base import Chunk, ErrorClass, Json, ProviderError
from agent_runtime.providers.connections import Connections
from agent_runtime.providers.exchange import Lost, Response, Unreachable
from agent_runtime.providers.keys import KeyFile
from agent_runtime.providers.sse import EventTooLong, SseParser

MAX_ANSWER_BYTES = 16 << 20  # far above any model's longest answer
MAX_ERROR_BYTES = 65_536
CONNECT_SECONDS = 10.0  # a reachable endpoint accepts at once; leaves time for the next one
BEARER = ("authorization", "Bearer ")
# no compression: it would hold the tokens of a stream back
_HEADERS = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "content-type": "application/json",
    "user-agent": "agent-runtime",
}
# what reading a JSON value of an unexpected shape raises
MALFORMED = (orjson.JSONDecodeError, AttributeError, IndexError, KeyError, TypeError)
# what the sender of a request can change, and so is told in the endpoint's words
_ABOUT_THE_REQUEST = frozenset(
    {ErrorClass.REFUSED, ErrorClass.CONTEXT_TOO_LONG, ErrorClass.CONTENT_POLICY}
)


Found = TypeVar("Found")


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

    async def bounded(self, awaited: Awaitable[Found]) -> Found:
        """Return what is awaited; raise TimeoutError if it takes too long."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(max(self._limit_s - self._waited_s, 0.0)):
                return await awaited
        finally:
            self._waited_s += clock() - began


class Caller:
    """Calls one endpoint with one key."""

    def __init__(
        self,
        endpoint: Endpoint,
        path: str,
        http: Connections,
        *,
        key: KeyFile | None,
        key_header: tuple[str, str] = BEARER,
        id_header: str | None = None,
    ) -> None:
        """`key_header` names the header, and what stands in it before the key.

        `id_header` is the protocol's place for an id of ours, if it has one.
        """
        self.endpoint = endpoint
        self._address = connections.address_of(
            endpoint.base_url.rstrip("/") + path + endpoint.query
        )
        self._head = self._address.head + _lines({**_HEADERS, **endpoint.headers})
        self._http = http
        self._key = key
        self._key_header = key_header
        self._id_header = id_header
        self._stated = {name.lower() for name in endpoint.headers}

    async def whole(
        self,
        body: Json,
        read: Callable[[Any], Found],
        *,
        too_long: ErrorClass = ErrorClass.BAD_ANSWER,
    ) -> Found:
        """Ask, and return what `read` makes of the body; what it finds malformed is a bad answer.

        `too_long` is what an answer of more than `MAX_ANSWER_BYTES` is taken for.
        """
        try:
            async with asyncio.timeout(self.endpoint.timeout_s):
                response = await self._asked(body)
                try:
                    return self._read(response, await _bounded(response, MAX_ANSWER_BYTES), read)
                finally:
                    response.release()
        except TooLong as exc:
            text = f"has more to answer than {MAX_ANSWER_BYTES} bytes; ask for less at once"
            raise self.error(too_long, text) from exc
        except _FAULTS as exc:
            raise self._failure(exc) from exc

    def _read(self, response: Response, received: bytes, read: Callable[[Any], Found]) -> Found:
        try:
            parsed = orjson.loads(received)
            if error := failures.error_in(parsed):
                raise self._refusal(response, error)
            return read(parsed)
        except MALFORMED as exc:
            raise self.error(ErrorClass.BAD_ANSWER, "sent no answer of its protocol") from exc

    async def chunks(self, body: Json, reading: Reading) -> AsyncGenerator[Chunk, None]:
        """Ask, and yield the chunks of a stream; raises `broken` if it ends before its answer."""
        silence = Silence(self.endpoint.timeout_s)
        begun = False
        try:
            # headers that trickle in are silence too
            response = await silence.bounded(self._asked(body))
            try:
                async with aclosing(self._deltas(response, silence, reading)) as deltas:
                    async for delta in deltas:
                        begun = True
                        yield Chunk(delta)
            finally:
                response.release()
        except (*_FAULTS, ProviderError) as exc:
            # whatever ends an answer after its first chunk, it is a broken answer
            failure = exc if isinstance(exc, ProviderError) else self._failure(exc)
            if begun:
                failure = self.error(ErrorClass.BROKEN, "broke off in the middle of its answer")
            failure.usage = reading.usage
            raise failure from exc
        yield Chunk({}, reading.finish_reason, reading.usage, reading.model)

    async def _deltas(
        self, response: Response, silence: Silence, reading: Reading
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

    async def _asked(self, body: Json) -> Response:
        """Return a good answer that has begun. No redirects: they would carry the key elsewhere."""
        head = self._head + _lines(self._origin())
        if self._key:
            name, prefix = self._key_header
            head += _lines({name: f"{prefix}{await self._key.value()}"})
        sent = orjson.dumps(body)
        request = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(sent), sent)
        response = await self._http.ask(
            self._address.place, request, connect_s=min(self.endpoint.timeout_s, CONNECT_SECONDS)
        )
        if response.status == 200:
            return response
        try:
            raise self._refusal(response, await _error_of(response))
        finally:
            response.release()

    def _failure(self, exc: Exception) -> ProviderError:
        """Return what a failure to ask, or to hear the answer, means."""
        if isinstance(exc, TimeoutError):
            text = f"did not answer within {self.endpoint.timeout_s:g} s"
            return self.error(ErrorClass.TIMEOUT, text)
        return self.error(ErrorClass.CONNECT, "cannot be reached")

    def _refusal(self, response: Response, error: Json | None) -> ProviderError:
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
        told = named | place.trace_headers()
        return {name: value for name, value in told.items() if name.lower() not in self._stated}


_FAULTS = (Unreachable, Lost, OSError, TimeoutError)


def _lines(headers: Mapping[str, str]) -> bytes:
    """Return headers as they are sent; their values are printable, as the config was checked."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


async def _events(response: Response, silence: Silence) -> AsyncGenerator[bytes, None]:
    """Yield the data of each event."""
    parser, size = SseParser(), 0
    while True:
        received = await silence.bounded(response.piece())
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


async def _error_of(response: Response) -> Json | None:
    """Return the error object of a bad answer, if it has one."""
    try:
        return failures.error_in(orjson.loads(await _bounded(response, MAX_ERROR_BYTES)))
    except (*MALFORMED, TooLong):
        return None


async def _bounded(response: Response, limit: int) -> bytes:
    body = bytearray()
    while received := await response.piece():
        if len(body) + len(received) > limit:
            raise TooLong
        if response.complete and not body:  # as nearly always
            return received
        body += received
    return bytes(body)
