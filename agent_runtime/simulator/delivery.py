"""What goes over the wire for one request, and how faults distort it. Pure: no socket, no clock.

A fault is applied by changing the delivery of the good answer; `connection` then only has to do
what a delivery says: wait, write, and end in one of four ways.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import Enum, auto
from typing import Any

import orjson

from agent_runtime.simulator.counts import Ticket
from agent_runtime.simulator.exchange import Headers, Stream, Usage, Wire
from agent_runtime.simulator.faults import Fault

JSON = b"application/json"
EVENT_STREAM = b"text/event-stream; charset=utf-8"
TRICKLE_SECONDS = 1.0  # between the pieces of an endless answer, unless the fault says otherwise
_HTML = b"<html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>\n"


class End(Enum):
    """How a delivery ends."""

    COMPLETE = auto()  # as HTTP wants it
    CLOSE = auto()  # the connection is closed although more was announced
    HANG = auto()  # nothing more comes, until the client goes
    RESET = auto()  # TCP reset


@dataclass(frozen=True, slots=True)
class Delivery:
    """One answer on its way; without a `length` it is sent in HTTP chunks."""

    status: int
    content_type: bytes = JSON
    headers: Headers = field(default_factory=list)
    opening: bytes = b""  # leaves with the headers
    pieces: Iterable[bytes] = ()
    closing: bytes = b""
    length: int | None = None
    send_head: bool = True
    first_s: float = 0.0
    piece_s: float = 0.0
    head_byte_s: float = 0.0
    end: End = End.COMPLETE
    ticket: Ticket | None = None
    usage: Usage | None = None  # billed when the end is reached; None: this is no good answer
    broken: bool = False  # a good answer was due, and a fault spoils it

    @property
    def is_quick(self) -> bool:
        """Return whether it can be written at once, in one piece."""
        waits = self.first_s or self.piece_s or self.head_byte_s
        return self.length is not None and not waits and self.end is End.COMPLETE


def whole(status: int, body: bytes, **more: Any) -> Delivery:
    """Return the delivery of a body that is there already."""
    return Delivery(status, opening=body, length=len(body), **more)


def streamed(stream: Stream, **more: Any) -> Delivery:
    """Return the delivery of a stream of events."""
    return Delivery(
        200,
        EVENT_STREAM,
        opening=stream.opening,
        pieces=stream.pieces,
        closing=stream.closing,
        **more,
    )


def paced(good: Delivery, wait_s: float, pause_s: float) -> Delivery:
    """Return the delivery so much later, with a pause before each token."""
    if not (wait_s or pause_s):
        return good
    if good.length is not None and good.usage:
        # nothing is seen of a plain answer before its last token
        wait_s, pause_s = wait_s + pause_s * good.usage.output, 0.0
    return replace(good, first_s=good.first_s + wait_s, piece_s=good.piece_s + pause_s)


def distort(good: Delivery, fault: Fault, wire: Wire, now: datetime) -> Delivery:
    """Return what the fault makes of the delivery of a good answer."""
    pause_s = 0.0 if fault.kind == "trickle" else fault.per_chunk_seconds
    slow = paced(good, fault.first_seconds, pause_s)
    if fault.kind == "latency":
        return slow
    if fault.kind == "slowHeaders":
        return replace(slow, head_byte_s=fault.per_byte_seconds)
    if fault.kind in ("status", "quota"):
        return _error(slow, fault, wire, now)
    spoilt = replace(slow, usage=None, broken=True)
    if fault.kind == "contentType":
        return _other_content(spoilt, fault)
    if fault.kind == "trickle":
        return _trickle(spoilt, fault)
    return _cut(spoilt, fault, wire)


def _error(good: Delivery, fault: Fault, wire: Wire, now: datetime) -> Delivery:
    status, body = fault.status or 500, b""
    content_type = b"text/html" if isinstance(fault.body, str) else JSON  # as a proxy's page has it
    if fault.kind == "quota":
        status, body = wire.quota(fault.status)
    elif fault.body is not None:
        body = raw(fault.body)
    else:
        body = wire.error(status)
    headers = [*good.headers, *retry_after(fault, now)]
    return whole(
        status,
        body,
        content_type=content_type,
        headers=headers,
        first_s=good.first_s,
        ticket=good.ticket,
    )


def _other_content(spoilt: Delivery, fault: Fault) -> Delivery:
    content_type = fault.content_type.encode()
    if fault.body is None and "html" not in fault.content_type:
        return replace(spoilt, content_type=content_type)
    body = _HTML if fault.body is None else raw(fault.body)
    length = len(body)
    return replace(
        spoilt, content_type=content_type, opening=body, pieces=(), closing=b"", length=length
    )


def _trickle(spoilt: Delivery, fault: Fault) -> Delivery:
    pause_s = fault.per_chunk_seconds or TRICKLE_SECONDS
    if spoilt.length is not None:  # blanks before JSON are JSON; a parser waits for more
        return replace(
            spoilt, opening=b"", pieces=itertools.repeat(b" "), length=None, piece_s=pause_s
        )
    pieces = list(spoilt.pieces) or [b": nothing\n\n"]
    return replace(spoilt, pieces=itertools.cycle(pieces), closing=b"", piece_s=pause_s)


def _cut(spoilt: Delivery, fault: Fault, wire: Wire) -> Delivery:
    """Hang, reset, truncate, an error or half an event, after so many chunks."""
    if spoilt.length is not None:
        return _cut_whole(spoilt, fault, wire)
    if fault.after_chunks is None and fault.kind in ("hang", "reset"):
        return _nothing(spoilt, fault)
    default = 0 if fault.kind == "errorBody" else 1
    after = default if fault.after_chunks is None else fault.after_chunks
    pieces = iter(spoilt.pieces)
    before = itertools.islice(pieces, after)
    match fault.kind:
        case "truncate":
            return replace(spoilt, pieces=before, closing=b"")
        case "malformed":
            return replace(spoilt, pieces=_with_half(before, wire.half_event(), pieces))
        case "errorBody":
            event = wire.error_event(_error_body(fault, wire))
            opening = spoilt.opening if after else b""
            return replace(spoilt, opening=opening, pieces=before, closing=event)
    return replace(spoilt, pieces=before, closing=b"", end=_END[fault.kind])


def _with_half(before: Iterable[bytes], half: bytes, after: Iterator[bytes]) -> Iterator[bytes]:
    yield from before
    yield half
    yield from after


def _cut_whole(spoilt: Delivery, fault: Fault, wire: Wire) -> Delivery:
    """Half of a plain answer, or none of it after 0 chunks; the headers announce all of it."""
    half = spoilt.opening[: len(spoilt.opening) // 2]
    if fault.kind == "errorBody":
        body = _error_body(fault, wire)
        return replace(spoilt, opening=body, length=len(body))
    if fault.kind == "malformed":  # a complete body that is no complete JSON
        return replace(spoilt, opening=half, length=len(half))
    if fault.kind == "truncate":
        return replace(spoilt, opening=half, end=End.CLOSE)
    if fault.after_chunks is None:
        return _nothing(spoilt, fault)
    return replace(spoilt, opening=half if fault.after_chunks else b"", end=_END[fault.kind])


def _nothing(spoilt: Delivery, fault: Fault) -> Delivery:
    end = _END[fault.kind]
    return replace(spoilt, send_head=False, opening=b"", pieces=(), closing=b"", end=end)


_END = {"hang": End.HANG, "reset": End.RESET}


def _error_body(fault: Fault, wire: Wire) -> bytes:
    return wire.error(500) if fault.body is None else raw(fault.body)


def raw(body: Any) -> bytes:
    """Return a body as it is ordered: text as text, anything else as JSON."""
    return body.encode() if isinstance(body, str) else orjson.dumps(body)


def retry_after(fault: Fault, now: datetime) -> Headers:
    """Return the `Retry-After` header that the fault wants, in seconds or as a date, or none."""
    seconds = fault.retry_after_seconds
    if seconds is None:
        return []
    if not fault.retry_after_date:
        return [(b"retry-after", b"%d" % seconds)]
    at = now.astimezone(UTC) + timedelta(seconds=seconds)
    return [(b"retry-after", format_datetime(at, usegmt=True).encode())]
