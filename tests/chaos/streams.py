"""Watches on their way through the chaos proxy, event by event; each of them may be bent."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from tests.chaos.faults import (
    Asked,
    Cut,
    EventScript,
    Failed,
    Gate,
    Late,
    Rewound,
    Seen,
    Swapped,
    Twice,
    Twist,
    calm,
    chance,
)

REMEMBERED = 50
"""Events per stream that a rewind can repeat."""
SWAP_S = 2.0
"""An event that waits for a later one comes alone after that long."""

Write = Callable[[bytes], Awaitable[None]]


class Ended(Exception):
    """The stream ends here, politely."""


class Broken(Exception):
    """The stream ends here, with its connection."""


class Streams:
    """All watches of one proxy."""

    def __init__(self, *, seed: int = 0) -> None:
        self.script: EventScript = calm
        self.gate = Gate()
        self.opened = 0
        """How many watches were ever opened: the number of the last one."""
        self._seed = seed
        self._events = itertools.count(1)
        self._alike: dict[tuple[str, ...], int] = {}

    async def relay(self, asked: Asked, content: aiohttp.StreamReader, write: Write) -> None:
        """Deliver the events of one watch until either side ends; raises Broken for a rude end."""
        self.opened += 1
        stream = _Stream(self, asked, self.opened, write)
        try:
            await stream.run(Lines(content))
        except Ended:
            return

    def see(self, stream: int, nth: int, asked: Asked, line: bytes) -> Seen:
        """Number an event."""
        event: dict[str, Any] = orjson.loads(line)
        name = str(event["object"].get("metadata", {}).get("name", ""))
        alike = (event["type"], asked.resource, name)
        count = self._alike[alike] = self._alike.get(alike, 0) + 1
        return Seen(
            stream=stream,
            number=next(self._events),
            nth=nth,
            type=event["type"],
            resource=asked.resource,
            name=name,
            roll=chance(self._seed, *alike, count),
        )


class _Stream:
    """One watch."""

    def __init__(self, all_: Streams, asked: Asked, number: int, write: Write) -> None:
        self._all = all_
        self._asked = asked
        self._number = number
        self._write = write
        self._told: deque[bytes] = deque(maxlen=REMEMBERED)
        self._swapped: bytes | None = None
        self._count = 0

    async def run(self, lines: Lines) -> None:
        while True:
            try:
                async with asyncio.timeout(SWAP_S if self._swapped else None):
                    line = await lines.next()
            except TimeoutError:
                await self._tell_swapped()
                continue
            if line is None:
                await self._tell_swapped()
                return
            await self._pass_gate()
            self._count += 1
            seen = self._all.see(self._number, self._count, self._asked, line)
            await self._bend(self._all.script(seen), line)

    async def _pass_gate(self) -> None:
        gate = self._all.gate
        if gate.passable.is_set():
            return
        lost = gate.lost
        await gate.passable.wait()
        if gate.lost != lost:
            await self._write(error_line(410))
            raise Ended

    async def _bend(self, twist: Twist | None, line: bytes) -> None:
        if isinstance(twist, Cut | Failed):
            await self._end(twist, line)
        if isinstance(twist, Swapped) and self._swapped is None:
            self._swapped = line
            return
        if isinstance(twist, Late):
            await asyncio.sleep(twist.seconds)
        await self._tell(line)
        await self._tell_swapped()
        if isinstance(twist, Twice):
            await self._tell(line)
        if isinstance(twist, Rewound):
            for old in list(self._told)[-twist.events :]:
                await self._write(old)

    async def _end(self, twist: Cut | Failed, line: bytes) -> None:
        """End the stream in front of an event; never returns."""
        if isinstance(twist, Failed):
            await self._write(error_line(twist.code))
            raise Ended
        if twist.half_line:
            await self._write(line[: len(line) // 2])
            raise Broken
        raise Ended

    async def _tell_swapped(self) -> None:
        line, self._swapped = self._swapped, None
        if line is not None:
            await self._tell(line)

    async def _tell(self, line: bytes) -> None:
        self._told.append(line)
        await self._write(line)


class Lines:
    """The lines of a stream; giving up waiting for one loses nothing."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content
        self._rest = b""

    async def next(self) -> bytes | None:
        """Return the next line with its end, or None at the end of the stream."""
        while b"\n" not in self._rest:
            chunk = await self._content.readany()
            if not chunk:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line + b"\n"


def error_line(code: int) -> bytes:
    """Return the line by which a watch says that it cannot go on."""
    body = status_object(code, "Expired" if code == web.HTTPGone.status_code else "InternalError")
    return orjson.dumps({"type": "ERROR", "object": body}) + b"\n"


def status_object(code: int, reason: str, *, retry_after_s: int | None = None) -> dict[str, Any]:
    """Return what an apiserver says when it does not do what it was asked."""
    details = {} if retry_after_s is None else {"retryAfterSeconds": retry_after_s}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "chaos",
        "reason": reason,
        "details": details,
        "code": code,
    }
