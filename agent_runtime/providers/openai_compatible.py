"""Any endpoint that speaks OpenAI's chat completions, over real HTTP.

Texts from the endpoint are passed on only when they explain a bad request to its sender.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import NoneType
from typing import Any

import aiohttp
import orjson

from agent_runtime.providers import tokens
from agent_runtime.providers.base import Answer, Chunk, ErrorClass, Json, Prompt, ProviderError
from agent_runtime.providers.keys import KeyFile
from agent_runtime.providers.sse import EventTooLong, SseParser

MAX_ANSWER_BYTES = 16 << 20  # far above any model's longest answer
MAX_ERROR_BYTES = 65_536
_STALE_SECONDS = 1.0  # by then a connection that the endpoint had closed before has told us
_CONNECT_SECONDS = 10.0  # a reachable endpoint accepts at once; leaves time for the next one
_DONE = b"[DONE]"
# what reading a JSON value of an unexpected shape raises
_MALFORMED = (orjson.JSONDecodeError, AttributeError, IndexError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to reach a model. `timeout_s` bounds a whole answer, or a stream's silence."""

    provider: str
    base_url: str
    model: str
    timeout_s: float


class OpenAICompatible:
    """One model of one endpoint."""

    def __init__(
        self, endpoint: Endpoint, key: KeyFile | None, http: aiohttp.ClientSession
    ) -> None:
        self._endpoint = endpoint
        self._url = endpoint.base_url.rstrip("/") + "/chat/completions"
        self._key = key
        self._http = http

    async def complete(self, prompt: Prompt) -> Answer:
        """Return the endpoint's whole answer."""
        bounds = aiohttp.ClientTimeout(total=self._endpoint.timeout_s, connect=self._connect_s())
        async with self._post(prompt, {}, bounds) as response:
            try:
                body = orjson.loads(await _bounded(response, MAX_ANSWER_BYTES))
                choice = body["choices"][0]
                return self._answer(prompt, choice["message"], choice, body.get("usage"))
            except (*_MALFORMED, _TooLong) as exc:
                raise self._error(ErrorClass.BAD_ANSWER, "sent no chat completion") from exc

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Yield the endpoint's chunks; raise `broken` if they end before the answer does."""
        extra = {"stream": True, "stream_options": {"include_usage": True}}
        silence = self._endpoint.timeout_s
        bounds = aiohttp.ClientTimeout(total=None, connect=self._connect_s(), sock_read=silence)
        reading = _Reading()
        try:
            async with (
                self._post(prompt, extra, bounds) as response,
                aclosing(self._chunks(response, reading)) as chunks,
            ):
                async for chunk in chunks:
                    yield chunk
        except ProviderError as exc:
            # a lost connection after the first chunk is a broken answer, not an absent provider
            lost = (ErrorClass.CONNECT, ErrorClass.TIMEOUT)
            if not reading.begun or exc.error_class not in lost:
                raise
            raise self._error(ErrorClass.BROKEN, "broke off in the middle of its answer") from exc
        yield Chunk({}, reading.finish_reason, reading.usage)

    async def _chunks(
        self, response: aiohttp.ClientResponse, reading: "_Reading"
    ) -> AsyncGenerator[Chunk, None]:
        parser = SseParser()
        try:
            async for received in response.content.iter_any():
                reading.count(len(received))
                for event in parser.feed(received):
                    if event == _DONE:
                        self._require_end(reading)
                        return
                    for delta in reading.deltas(orjson.loads(event)):
                        yield Chunk(delta)
        except (*_MALFORMED, EventTooLong, _TooLong, _Refused) as exc:
            kind = ErrorClass.BROKEN if reading.begun else ErrorClass.SERVER_ERROR
            raise self._error(kind, "sent something that is no chat completion chunk") from exc
        self._require_end(reading)

    def _require_end(self, reading: "_Reading") -> None:
        if reading.finish_reason is None:
            kind = ErrorClass.BROKEN if reading.begun else ErrorClass.CONNECT
            raise self._error(kind, "ended its answer before it was complete")

    @asynccontextmanager
    async def _post(
        self, prompt: Prompt, extra: Json, bounds: aiohttp.ClientTimeout
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        body = {
            **prompt.options, **extra, "model": self._endpoint.model, "messages": prompt.messages,
        }  # fmt: skip
        headers = {"content-type": "application/json"}
        if self._key:
            headers["authorization"] = f"Bearer {await self._key.value()}"
        try:
            async with await self._ask(orjson.dumps(body), headers, bounds) as response:
                if response.status != 200:
                    raise await self._refusal(response)
                yield response
        except aiohttp.ConnectionTimeoutError as exc:
            raise self._error(ErrorClass.CONNECT, "cannot be reached") from exc
        except TimeoutError as exc:
            text = f"did not answer within {self._endpoint.timeout_s:g} s"
            raise self._error(ErrorClass.TIMEOUT, text) from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise self._error(ErrorClass.CONNECT, "cannot be reached") from exc

    async def _ask(
        self, body: bytes, headers: dict[str, str], bounds: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Return the response; ask once more if a kept connection turns out to be closed."""
        asked_at = asyncio.get_running_loop().time()
        try:
            return await self._ask_once(body, headers, bounds)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as exc:
            late = asyncio.get_running_loop().time() - asked_at > _STALE_SECONDS
            if late or isinstance(exc, aiohttp.ClientConnectorError):
                raise
        return await self._ask_once(body, headers, bounds)

    async def _ask_once(
        self, body: bytes, headers: dict[str, str], bounds: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        # no redirects: they would carry the key and the conversation elsewhere
        return await self._http.post(
            self._url, data=body, headers=headers, timeout=bounds, allow_redirects=False
        )

    async def _refusal(self, response: aiohttp.ClientResponse) -> ProviderError:
        status = response.status
        error_class = class_of(status)
        detail = await _error_detail(response) if error_class is ErrorClass.REFUSED else None
        return self._error(
            error_class,
            f"answered HTTP {status}",
            retry_after=response.headers.get("retry-after"),
            detail=detail,
        )

    def _answer(self, prompt: Prompt, message: Json, choice: Json, usage: Any) -> Answer:
        text = tokens.text_of(message)
        counted = usage if isinstance(usage, dict) else tokens.estimate(prompt.messages, text)
        # a session keeps the message: without a role it would spoil every later turn
        return Answer(
            {"role": "assistant", "content": None, **message},
            choice.get("finish_reason") or "stop",
            counted,
        )

    def _connect_s(self) -> float:
        return min(self._endpoint.timeout_s, _CONNECT_SECONDS)

    def _error(
        self,
        error_class: ErrorClass,
        text: str,
        *,
        retry_after: str | None = None,
        detail: Json | None = None,
    ) -> ProviderError:
        name = self._endpoint.provider
        message = f"provider {name!r} {text}"
        return ProviderError(error_class, name, message, retry_after=retry_after, detail=detail)


class _Reading:
    """What a stream has told so far."""

    def __init__(self) -> None:
        self.begun = False
        self.finish_reason: str | None = None
        self.usage: Json | None = None
        self._size = 0

    def count(self, size: int) -> None:
        """Take note of received bytes; raise `_TooLong` when there are too many."""
        self._size += size
        if self._size > MAX_ANSWER_BYTES:
            raise _TooLong

    def deltas(self, event: Any) -> list[Json]:  # a JSON edge
        """Return the deltas of one event, and remember its end and its usage."""
        if event.get("error"):  # some write `"error": null` into good chunks
            raise _Refused
        if isinstance(usage := event.get("usage"), dict):
            self.usage = usage
        found = []
        for choice in event.get("choices") or ():
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            if delta := choice.get("delta"):
                _check_delta(delta)
                self.begun = True
                found.append(delta)
        return found


def _check_delta(delta: Any) -> None:  # a JSON edge
    """Raise TypeError if what follows could not put the message together."""
    _require(dict, delta)
    _require((str, NoneType), delta.get("content"))
    _require((list, NoneType), delta.get("tool_calls"))
    for call in delta.get("tool_calls") or ():
        _require(dict, call)
        _require(int, call.get("index", 0))
        _require((str, NoneType), call.get("id"))
        _require((dict, NoneType), call.get("function"))
        for text in ("name", "arguments"):
            _require((str, NoneType), (call.get("function") or {}).get(text))


def _require(kind: type | tuple[type, ...], value: object) -> None:
    if not isinstance(value, kind):
        raise TypeError


class _Refused(Exception):
    """An error object where a chunk should be."""


class _TooLong(Exception):
    """More bytes than an answer may have."""


def class_of(status: int) -> ErrorClass:
    """Return what an HTTP status other than 200 means for the route."""
    if status == 429:
        return ErrorClass.RATE_LIMITED
    if status >= 500:
        return ErrorClass.SERVER_ERROR
    if status in (401, 403):
        return ErrorClass.AUTH
    return ErrorClass.REFUSED if status in (400, 413, 422) else ErrorClass.BAD_ANSWER


async def _bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for received in response.content.iter_any():
        body += received
        if len(body) > limit:
            raise _TooLong
    return bytes(body)


async def _error_detail(response: aiohttp.ClientResponse) -> Json | None:
    """Return the endpoint's own explanation if it has OpenAI's shape."""
    try:
        body = orjson.loads(await _bounded(response, MAX_ERROR_BYTES))
        error = body["error"]
        return {key: error.get(key) for key in ("message", "type", "param", "code")}
    except (*_MALFORMED, _TooLong):
        return None
