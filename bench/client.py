"""The HTTP client of the speed benchmark: a process of its own, pinned to the client's core.

Written on the socket, since a library's client would cost more than what it measures. A closed loop
sends the next request when the last is answered; an open one sends at its own pace, whatever the
server does; streams are read event by event. Latencies are in milliseconds.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import httptools
import uvloop

from bench import processes, report

SETTLE_SECONDS = 0.5  # of each run, before anything is counted: connections, caches, compiled code
PATIENCE_SECONDS = 5.0  # after an open loop, for the answers that are still on their way
MAX_CONNECTIONS = 2000  # of an open loop; a server that needs more does not keep up


@dataclass(frozen=True)
class Order:
    """What is sent, where, and how often; `sessions` of 0 names none."""

    port: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    sessions: int = 0
    mode: str = "closed"  # or open, streams
    in_flight: int = 1
    per_second: float = 0.0
    seconds: float = 3.0
    chunks: int = 64
    """Events with text in a stream; 0: they are not counted, only `expected` must be there."""
    expected: str = ""
    ramp_s: float = 4.0


@dataclass(frozen=True)
class Figures:
    """What came of it."""

    answered: int
    bad: int
    per_second: float
    p50: float
    p95: float
    p99: float
    lost: int = 0
    held: int = 0
    sent: int = 0
    """With those of the settling time."""


def measure(order: Order) -> Figures:
    """Run an order in a process on the client's core."""
    done = subprocess.run(
        ["taskset", "-c", str(processes.CLIENT_CORE), sys.executable, "-m", "bench.client"],
        input=json.dumps(asdict(order)),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        cwd=processes.ROOT,
    )
    return Figures(**json.loads(done.stdout))


def at(order: Order, **changes: Any) -> Order:
    """Return the order with another load."""
    return replace(order, **changes)


def measure_with_cpu(order: Order, pid: int) -> tuple[Figures, float]:
    """Return the figures too, and how many microseconds of CPU a process spent on each answer.

    The answers of the settling time are counted here, since their CPU is too.
    """
    before_s = processes.cpu_s(pid)
    found = measure(order)
    return found, (processes.cpu_s(pid) - before_s) / max(found.sent, 1) * 1e6


class Requests:
    """The bytes to send: the same request again and again, each in the next session."""

    def __init__(self, order: Order) -> None:
        body = json.dumps(order.body).encode()
        head = [f"{name}: {value}" for name, value in order.headers.items()]
        lines = "\r\n".join(
            ("POST /v1/chat/completions HTTP/1.1", f"host: 127.0.0.1:{order.port}",
             "content-type: application/json", f"content-length: {len(body)}", *head)
        )  # fmt: skip
        self._head, self._body = lines.encode(), b"\r\n\r\n" + body
        self._sessions: Iterator[int] | None = (
            itertools.cycle(range(order.sessions)) if order.sessions else None
        )

    def next(self) -> bytes:
        """Return one request."""
        if self._sessions is None:
            return self._head + self._body
        session = f"\r\nx-session-id: s{next(self._sessions)}".encode()
        return self._head + session + self._body


class Connection(asyncio.Protocol):
    """One connection; `done` is set with the status when an answer is complete."""

    reads = False
    """Whether the texts of streams are put together."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._done: asyncio.Future[int] | None = None
        self.first_at = 0.0  # when the first text of a stream came
        self.frames = 0
        self.ended = False  # by the event that ends a stream
        self.text = ""
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        self._answer(0)

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Count events with text; the body of a plain answer has none."""
        body = self._rest + body
        end = body.rfind(b"\n\n") + 2
        events, self._rest = (body[:end], body[end:]) if end > 1 else (b"", body)
        found = events.count(b'"content":"') - events.count(b'"content":""')
        if found:
            self.first_at = self.first_at or time.perf_counter()
            self.frames += found
        if self.reads:
            self.text += _text_of(events)
        if b"data: [DONE]" in events:
            self.ended = True

    def on_message_complete(self) -> None:
        """Tell who waits."""
        self._answer(self._parser.get_status_code())
        self._parser = httptools.HttpResponseParser(self)

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """Send a request; the result is its status, 0 for a connection that was lost."""
        self.first_at, self.frames, self.ended, self._rest = 0.0, 0, False, b""
        self.text = ""
        self._done = self._loop.create_future()
        if self._transport.is_closing():
            self._answer(0)
        else:
            self._transport.write(request)
        return self._done

    def close(self) -> None:
        """End it."""
        self._transport.abort()

    def _answer(self, status: int) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(status)


def _text_of(events: bytes) -> str:
    texts = []
    for line in events.splitlines():
        if line.startswith(b"data: {"):
            choices = json.loads(line[6:])["choices"]
            texts += [choice["delta"].get("content") or "" for choice in choices]
    return "".join(texts)


class Tally:
    """Latencies of what was sent after the settling time."""

    def __init__(self) -> None:
        self.began = time.perf_counter() + SETTLE_SECONDS
        self.ms: list[float] = []
        self.bad = 0
        self.last_at = self.began
        self.sent = 0

    def count(self, sent: float, status: int) -> None:
        """Take note of one answer."""
        self.sent += 1
        if sent < self.began:
            return
        self.last_at = time.perf_counter()
        if status == 200:
            self.ms.append((self.last_at - sent) * 1e3)
        else:
            self.bad += 1

    def figures(self) -> Figures:
        """Return the sums."""
        found = figures(self.ms, self.bad, max(self.last_at - self.began, 1e-3))
        return replace(found, sent=self.sent)


def figures(ms: list[float], bad: int, seconds: float, *, lost: int = 0, held: int = 0) -> Figures:
    """Return the figures of some latencies."""
    p50, p95, p99 = (
        report.percentile(ms, share) if ms else float("inf") for share in (0.5, 0.95, 0.99)
    )
    return Figures(len(ms), bad, len(ms) / seconds, p50, p95, p99, lost, held)


async def connect(port: int) -> Connection:
    """Return a new connection."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
    return connection


async def closed(order: Order) -> Figures:
    """Each of so many clients sends its next request when the last is answered."""
    requests, connections = Requests(order), [await connect(order.port)]
    while len(connections) < order.in_flight:
        connections.append(await connect(order.port))
    tally = Tally()
    until = tally.began + order.seconds

    async def one(connection: Connection) -> None:
        while (sent := time.perf_counter()) < until:
            status = await connection.ask(requests.next())
            tally.count(sent, status)
            if not status:
                connection = await connect(order.port)

    async with asyncio.TaskGroup() as group:
        for connection in connections:
            group.create_task(one(connection))
    return tally.figures()


class OpenLoop:
    """Sends so many a second, whether or not the ones before have been answered."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._requests = Requests(order)
        self._idle: list[Connection] = []
        self._tally = Tally()
        self._tasks: set[asyncio.Task[None]] = set()
        self._late = 0

    async def run(self) -> Figures:
        """Send them all, wait a little for the last ones, and return the figures."""
        order, began = self._order, time.perf_counter()
        for number in range(int((order.seconds + SETTLE_SECONDS) * order.per_second)):
            due = began + number / order.per_second
            if (wait_s := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait_s)
                due = time.perf_counter()  # a loop's clock has steps of a millisecond
            self._send(due)
        if self._tasks:
            _, given_up = await asyncio.wait(set(self._tasks), timeout=PATIENCE_SECONDS)
            self._late += len(given_up)
        found = self._tally.figures()
        return replace(found, bad=found.bad + self._late)

    def _send(self, due: float) -> None:
        if len(self._tasks) >= MAX_CONNECTIONS:
            self._late += 1
            return
        task = asyncio.create_task(self._one(due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, due: float) -> None:
        connection = self._idle.pop() if self._idle else await connect(self._order.port)
        status = await connection.ask(self._requests.next())
        self._tally.count(due, status)
        if status:
            self._idle.append(connection)


async def open_loop(order: Order) -> Figures:
    """Run an open loop."""
    return await OpenLoop(order).run()


async def streams(order: Order) -> Figures:
    """Hold so many streams, begun one after another; each is followed by a second one.

    First tokens are those of the second ones: all others are being held meanwhile.
    """
    requests = Requests(order)
    first_ms: list[float] = []
    bad = lost = open_now = held = 0

    async def one(wait_s: float) -> None:
        nonlocal bad, lost, open_now, held
        connection = await connect(order.port)
        connection.reads = bool(order.expected)
        await asyncio.sleep(wait_s)
        for counts in (False, True):
            sent = time.perf_counter()
            open_now += 1
            held = max(held, open_now)
            status = await connection.ask(requests.next())
            open_now -= 1
            lost += _missing(order, connection)
            bad += status != 200
            if counts and connection.first_at:
                first_ms.append((connection.first_at - sent) * 1e3)
        connection.close()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(order.in_flight):
            group.create_task(one(number * order.ramp_s / order.in_flight))
    return figures(first_ms, bad, time.perf_counter() - began, lost=lost, held=held)


def _missing(order: Order, stream: Connection) -> int:
    if order.chunks:
        return abs(order.chunks - stream.frames) + (not stream.ended)
    return (order.expected not in stream.text) + (not stream.ended)


MODES = {"closed": closed, "open": open_loop, "streams": streams}


def main() -> None:
    """Read an order from stdin, write the figures to stdout."""
    order = Order(**json.loads(sys.stdin.read()))
    gc.disable()  # no pause of ours is the server's
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(MODES[order.mode](order))
    json.dump(asdict(found), sys.stdout)


if __name__ == "__main__":
    main()
