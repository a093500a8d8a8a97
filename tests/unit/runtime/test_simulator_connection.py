"""How a connection of the simulator writes: all at once, piece by piece, not to a deaf client."""

import asyncio

from agent_runtime.simulator import delivery
from agent_runtime.simulator.connection import MAX_PIPELINED, Connection, Connections
from agent_runtime.simulator.counts import Counts
from agent_runtime.simulator.delivery import Delivery
from agent_runtime.simulator.exchange import Request, Stream, Usage

REQUEST = b"POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
TURNS = 50  # of the event loop; more than any of these answers needs


class Wire(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True


class Rig:
    """A connection whose every request gets the same kind of answer."""

    def __init__(self, *, stream: bool) -> None:
        self.stream = stream
        self.counts = Counts()
        self.wire = Wire()
        self.connection = Connection(Connections(self.handle, self.counts.answered))
        self.connection.connection_made(self.wire)

    def handle(self, request: Request) -> Delivery:
        ticket = self.counts.begin(request.path, "m", "k")
        if not self.stream:
            return delivery.whole(200, request.body, ticket=ticket, usage=Usage(1, 1))
        events = Stream(b"open", (b"%d" % n for n in range(5)), b"close")
        return delivery.streamed(events, ticket=ticket, usage=Usage(1, 5))

    def state(self) -> tuple[int, int, int]:
        """Completed answers, broken ones, requests in flight."""
        total = self.counts.total
        return total.completed, total.broken, self.counts.in_flight


async def turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def test_a_whole_answer_is_one_write() -> None:
    rig = Rig(stream=False)
    rig.connection.data_received(REQUEST)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
    assert rig.wire.writes == [head + b"{}"]
    assert rig.state() == (1, 0, 0)


async def test_a_request_may_come_byte_by_byte() -> None:
    rig = Rig(stream=False)
    for at in range(len(REQUEST)):
        rig.connection.data_received(REQUEST[at : at + 1])
    assert rig.state() == (1, 0, 0)


async def test_a_stream_is_one_write_for_each_event() -> None:
    rig = Rig(stream=True)
    rig.connection.data_received(REQUEST)
    await turns()
    sent = [b"4\r\nopen\r\n", *(b"1\r\n%d\r\n" % n for n in range(5)), b"5\r\nclose\r\n"]
    assert rig.wire.writes[1:] == [*sent, b"0\r\n\r\n"]
    assert rig.state() == (1, 0, 0)


async def test_nothing_is_written_to_a_client_that_does_not_read_until_it_does() -> None:
    rig = Rig(stream=True)
    rig.connection.pause_writing()
    rig.connection.data_received(REQUEST)
    await turns()
    assert rig.wire.writes[1:] == [b"4\r\nopen\r\n"]
    assert rig.state() == (0, 0, 1)
    rig.connection.resume_writing()
    await turns()
    assert rig.wire.writes[-1] == b"0\r\n\r\n"
    assert rig.state() == (1, 0, 0)


async def test_a_lost_client_breaks_its_answer_and_those_that_wait_are_dropped() -> None:
    rig = Rig(stream=True)
    rig.connection.pause_writing()
    rig.connection.data_received(REQUEST * 2)
    await turns()
    rig.connection.connection_lost(None)
    await turns()
    assert rig.state() == (0, 1, 0)
    assert rig.counts.total.requests == 1


async def test_a_client_that_is_lost_at_once_breaks_its_answer_too() -> None:
    rig = Rig(stream=True)
    rig.connection.data_received(REQUEST)
    rig.connection.connection_lost(None)
    await turns()
    assert rig.state() == (0, 1, 0)


async def test_a_client_with_too_many_waiting_requests_is_let_go() -> None:
    rig = Rig(stream=True)
    rig.connection.pause_writing()
    rig.connection.data_received(REQUEST * (1 + MAX_PIPELINED))
    assert not rig.wire.aborted
    rig.connection.data_received(REQUEST)
    assert rig.wire.aborted
    rig.connection.connection_lost(None)
    await turns()


async def test_connection_close_is_obeyed() -> None:
    rig = Rig(stream=False)
    rig.connection.data_received(REQUEST.replace(b"host", b"connection: close\r\nhost"))
    assert b"connection: close\r\n" in rig.wire.writes[0]
    assert rig.wire.closed


async def test_a_head_that_is_too_large_is_refused() -> None:
    rig = Rig(stream=False)
    rig.connection.data_received(REQUEST.replace(b"host: x", b"host: " + b"x" * 70_000))
    assert rig.wire.writes[0].startswith(b"HTTP/1.1 400 ")
    assert (rig.wire.closed, rig.counts.total.requests) == (True, 0)
