"""Keeps a copy of one kind of object current: a list, then a watch, then again what was missed.

Own code instead of a library's, because deletes during a gap must not be lost (relist with sweep),
a half-open stream must be noticed, and a settled world must cost nothing.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from agentsystem_operator import ports
from agentsystem_operator.adapters import api_client, projections
from agentsystem_operator.adapters.api_client import ApiClient
from agentsystem_operator.model import versions

PAGE = 500
"""Objects per list request: a page of Deployments is then ~10 MB, and decodes in 5 ms."""
SILENCE_S = 75.0
"""Bookmarks come about once a minute: a stream that is silent for longer is dead."""
WATCH_S = (290, 590)
"""A watch is ended by the server after a random time within these, so that ends are spread."""
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.1, 3.0
"""An apiserver that is back must be noticed within 5 s."""
REFUSED_MAX_S = 30.0
"""What we have no right to see is asked for less often: a person has to grant it first."""
SHORT_S = 1.0
"""A watch that ends sooner was cut, not ended: reconnecting in a tight loop would only hurt."""
RELIST_EVERY_S = 2.0
"""A stream that cannot be trusted time and again must not become a stream of lists."""
LINE_MAX = 16 * 1024 * 1024
"""etcd holds 1.5 MiB per object; anything longer than this is not a watch."""
GONE = 410

logger = logging.getLogger(__name__)
S = TypeVar("S", bound=projections.Plain)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source(Generic[S, T]):
    """What to reflect, and as what."""

    kind: str
    path: str
    namespace: str | None
    shape: type[S]
    project: Callable[[S], T]
    selector: str
    metadata_only: bool = False

    @property
    def accept(self) -> str:
        """Return the media type of watched objects."""
        return api_client.METADATA if self.metadata_only else api_client.JSON

    @property
    def accept_list(self) -> str:
        """Return the media type of lists."""
        return api_client.METADATA_LIST if self.metadata_only else api_client.JSON


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _Event(msgspec.Struct, Generic[S]):
    type: str
    object: S


class _Page(msgspec.Struct, Generic[S]):
    items: list[S]
    metadata: _ListMeta


class Relist(Exception):
    """What was watched from is too old, or the stream cannot be trusted: start over."""


class Reflector(Generic[S, T]):
    """Feeds a sink with everything that a source holds."""

    def __init__(
        self,
        api: ApiClient,
        source: Source[S, T],
        sink: ports.Sink[T],
        *,
        silence_s: float = SILENCE_S,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        self._api = api
        self.source = source
        self._sink = sink
        self._silence_s = silence_s
        self._monotonic = monotonic or (lambda: asyncio.get_running_loop().time())
        self._heard: float | None = None
        self._version = ""
        self._seen_version = ""
        self._failures = 0
        self._relisted_at = float("-inf")
        self.synced = asyncio.Event()
        self.answered = asyncio.Event()
        self.refusal = ""
        shape = source.shape
        self._decode_event: Callable[[bytes], _Event[S]] = _decoder(_Event[shape])  # type: ignore[valid-type]  # a type made at run time
        self._decode_page: Callable[[bytes], _Page[S]] = _decoder(_Page[shape])  # type: ignore[valid-type]  # as above

    @property
    def age_s(self) -> float:
        """Return seconds since anything was heard; infinite before the first list."""
        return float("inf") if self._heard is None else self._monotonic() - self._heard

    async def run(self) -> None:
        """Reflect for ever; only cancellation ends it."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except Relist as exc:
                await self._relist(str(exc))
            except (ports.ClusterError, msgspec.DecodeError) as exc:
                await self._back_off(exc)

    async def _relist(self, why: str) -> None:
        logger.info("list again", extra={"kind": self.source.kind, "reason": why})
        self._version = ""
        rest = self._relisted_at + RELIST_EVERY_S - self._monotonic()
        if rest > 0:
            await asyncio.sleep(rest)
        self._relisted_at = self._monotonic()

    async def _back_off(self, exc: Exception) -> None:
        if isinstance(exc, ports.Gone) or (isinstance(exc, msgspec.DecodeError) and self._failures):
            # What cannot be read twice in a row may be anything: only a list tells what is there.
            self._version = ""
        most = BACKOFF_MAX_S
        if isinstance(exc, ports.Refused):
            self.refusal, most = str(exc), REFUSED_MAX_S
            self.answered.set()
        self._failures += 1
        if self._failures == 1:  # one line per outage
            logger.warning(
                "watch interrupted; trying again",
                extra={
                    "kind": self.source.kind,
                    "namespace": self.source.namespace or "",
                    "reason": type(exc).__name__,
                    "error": str(exc),
                },
            )
        delay = min(BACKOFF_FIRST_S * 2 ** min(self._failures, 10), most)
        stated = exc.retry_after_s if isinstance(exc, ports.ClusterUnreachable) else None
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 -- spreads load, guards nothing
        await asyncio.sleep(max(stated or 0.0, delay * jitter))

    async def _list(self) -> None:
        found: set[tuple[str, str]] = set()
        query = {"limit": str(PAGE), "labelSelector": self.source.selector}
        while True:
            try:
                content = await self._api.call(
                    "list",
                    self.source.path,
                    kind=self.source.kind,
                    query=query,
                    accept=self.source.accept_list,
                )
            except ports.Gone as exc:
                if "continue" not in query:
                    raise
                raise Relist("a page expired") from exc
            page = self._decode_page(content)
            for live in page.items:
                found.add((live.metadata.namespace, live.metadata.name))
                self._sink.saw(self.source.project(live))
            if not page.metadata.continue_:
                break
            query["continue"] = page.metadata.continue_
        self._version = page.metadata.resource_version
        went_back = versions.is_older(self._version, self._seen_version)
        self._seen_version = self._version
        self._sink.listed(
            self.source.namespace, found=found, version=self._version, went_back=went_back
        )
        self._hear()
        self.synced.set()
        self.answered.set()
        if went_back:
            # What this list showed was taken for late news; the next one is believed.
            raise Relist("the cluster went back in time")

    async def _watch(self) -> None:
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "labelSelector": self.source.selector,
            "timeoutSeconds": str(random.randint(*WATCH_S)),  # noqa: S311 -- as above
        }
        opened = self._monotonic()
        async with self._api.stream(
            self.source.path,
            kind=self.source.kind,
            query=query,
            accept=self.source.accept,
            silence_s=self._silence_s,
        ) as chunks:
            rest = b""
            async for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line:
                        self._take(line)
                if len(rest) > LINE_MAX:
                    raise Relist("a line without end")
        # Ended or silent: go on from the last version, at once unless the stream was cut at once.
        if self._monotonic() - opened < SHORT_S:
            raise ports.ClusterUnreachable("the watch ended at once")

    def _take(self, line: bytes) -> None:
        try:
            event = self._decode_event(line)
        except msgspec.ValidationError:
            # The Status in an ERROR has a text where a Deployment has its status.
            self._raise_for_status(line)
            raise
        live: S = event.object
        if event.type == "ERROR":
            self._raise_for(live)
        version = live.metadata.resource_version
        went_back = versions.is_older(version, self._version)
        if event.type == "DELETED":
            self._sink.gone(self.source.project(live))
        elif event.type in ("ADDED", "MODIFIED"):
            self._sink.saw(self.source.project(live))
        self._hear()
        if went_back:
            # An apiserver never does that; a restored one or a proxy may, and then anything may
            # have been missed.
            raise Relist("the watch went back in time")
        self._version = self._seen_version = version

    def _raise_for_status(self, line: bytes) -> None:
        event: _Event[projections.Plain] = _decode_plain(line)
        if event.type == "ERROR":
            self._raise_for(event.object)

    def _raise_for(self, status: projections.Plain) -> None:
        if status.code == GONE:
            raise Relist("the watch expired")
        raise ports.ClusterUnreachable(f"watch error {status.code}")

    def _hear(self) -> None:
        self._heard = self._monotonic()
        self._failures, self.refusal = 0, ""


def _decoder(shape: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(shape).decode


_decode_plain = _decoder(_Event[projections.Plain])
