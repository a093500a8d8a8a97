"""Sends spans to an OTLP/HTTP endpoint, as protobuf, in batches.

Invariants: nobody who serves waits for it; what waits to be sent is bounded in bytes, and the
newest is dropped and counted when there is no room; a batch is tried a bounded number of times.
"""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum

import aiohttp

from agent_runtime import upkeep
from agent_runtime.observability.trace_metrics import TraceMetrics
from agent_runtime.observability.tracing import protobuf
from agent_runtime.observability.tracing.headers import HeaderFile

MAX_WAITING_BYTES = 4 << 20
"""About 10,000 spans: three seconds of a busy pod, and a small part of its memory."""
BATCH_BYTES = 512 << 10
"""A collector's usual limit is 20 MiB; less at once is less to send again."""
EVERY_S = 1.0
"""How long a span waits for others at most."""
_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
ATTEMPTS = 5
"""Of one batch; with the pauses between them a minute's outage is survived, as far as room is."""
PAUSE_S = 1.0
"""Upper bound of the first pause; it doubles with each."""
PAUSE_MAX_S = 30.0
FLUSH_S = 1.0
"""At the end, for all that waits: a pod has to be gone in time."""
_TRY_AGAIN = frozenset({429, 502, 503, 504})  # of the OTLP specification
_ANSWER_BYTES = 65_536

_log = logging.getLogger(__name__)


class Lost(StrEnum):
    """Why a span was not delivered; the label of `agent_trace_spans_dropped_total`."""

    NO_ROOM = "no_room"  # too many waited
    REFUSED = "refused"  # the endpoint does not take it
    UNREACHABLE = "unreachable"  # the endpoint was away for too long
    NO_HEADERS = "no_headers"  # the file of headers is missing
    SHUTDOWN = "shutdown"  # the process ended first


class _Later(Exception):  # the condition is the name
    """The endpoint may take the batch another time; after so many seconds, if it told."""

    def __init__(self, after_s: float = 0.0) -> None:
        super().__init__()
        self.after_s = after_s


class Exporter:
    """Holds spans until they are sent; `run` sends them, `finish` makes it end."""

    def __init__(
        self,
        url: str,
        resource: Mapping[str, protobuf.Value],
        http: aiohttp.ClientSession,
        metrics: TraceMetrics,
        *,
        headers: HeaderFile | None = None,
    ) -> None:
        self._url = url
        self._http = http
        self._headers = headers
        self._resource = protobuf.resource(resource)
        self._scope = protobuf.scope("agentsystem")
        self._metrics = metrics
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._wanted = asyncio.Event()
        """Set when sending shall not wait any longer for more."""
        self._ending = asyncio.Event()
        self._failing = False

    def offer(self, span: bytes) -> None:
        """Keep a span until it is sent, or drop and count it."""
        if self._bytes + len(span) > MAX_WAITING_BYTES:
            self._metrics.dropped(Lost.NO_ROOM, 1)
            return
        self._waiting.append(span)
        self._bytes += len(span)
        if self._bytes >= BATCH_BYTES:
            self._wanted.set()

    async def run(self) -> None:
        """Send what comes; return when that is finished and all is sent or given up."""
        while self._waiting or not self._ending.is_set():
            await _set_within(self._wanted, EVERY_S)
            while self._waiting:
                await self._deliver(self._batch())
            if not self._ending.is_set():
                self._wanted.clear()

    def finish(self) -> None:
        """Let `run` send what still waits, once, and end."""
        self._ending.set()
        self._wanted.set()

    def give_up(self) -> None:
        """Count what will not be sent any more."""
        self._metrics.dropped(Lost.SHUTDOWN, len(self._waiting))
        self._waiting.clear()

    def _batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        while self._waiting and size < BATCH_BYTES:
            batch.append(self._waiting.popleft())
            size += len(batch[-1])
        self._bytes -= size
        return batch

    async def _deliver(self, batch: list[bytes]) -> None:
        """Send a batch, again if that may help; what is not taken is counted."""
        try:
            lost = await self._outcome(batch)
        except asyncio.CancelledError:
            self._metrics.dropped(Lost.SHUTDOWN, len(batch))
            raise
        if lost is None:
            self._metrics.exported(len(batch))
        else:
            self._metrics.dropped(lost, len(batch))
        self._report(lost)

    async def _outcome(self, batch: list[bytes]) -> Lost | None:
        body = protobuf.request(self._resource, self._scope, batch)
        for attempt in range(ATTEMPTS):
            headers = await self._headers.read() if self._headers is not None else {}
            if headers is None:
                return Lost.NO_HEADERS
            try:
                return await self._post(body, headers)
            except _Later as exc:
                # full jitter: pods that lost their collector together do not come back together
                pause_s = max(exc.after_s, random.random() * PAUSE_S * 2.0**attempt)  # noqa: S311
            if attempt < ATTEMPTS - 1:
                self._report(Lost.UNREACHABLE)
                await _set_within(self._ending, min(pause_s, PAUSE_MAX_S))
            if self._ending.is_set():
                return Lost.SHUTDOWN
        return Lost.UNREACHABLE

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> Lost | None:
        try:
            async with self._http.post(
                self._url,
                data=body,
                headers={**headers, "content-type": "application/x-protobuf"},
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as response:
                if response.status in _TRY_AGAIN:
                    raise _Later(_seconds(response.headers.get("retry-after", "")))
                if response.status != 200:
                    return Lost.REFUSED
                answer = await response.content.read(_ANSWER_BYTES)
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise _Later from exc
        if rejected := protobuf.rejected(answer):
            self._metrics.rejected(rejected)
        return None

    def _report(self, lost: Lost | None) -> None:
        """Log when delivery begins and stops to fail, and not with each batch."""
        if lost is not None and not self._failing:
            _log.warning("traces are not delivered", extra={"reason": str(lost)})
        elif lost is None and self._failing:
            _log.info("traces are delivered again")
        self._failing = lost is not None


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    """Return when the event is set, or after so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdecimal() and len(retry_after) < 5 else 0.0


@asynccontextmanager
async def running(exporter: Exporter) -> AsyncIterator[None]:
    """Send meanwhile; at the end what waits is sent too, as far as there is time."""
    task = asyncio.create_task(upkeep.lasting("traces", exporter.run), name="traces")
    try:
        yield
    finally:
        exporter.finish()
        await asyncio.wait([task], timeout=FLUSH_S)
        task.cancel()
        await asyncio.wait([task])
        exporter.give_up()
