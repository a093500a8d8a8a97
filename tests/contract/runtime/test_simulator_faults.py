"""Every fault of the simulator, seen from the client's end of the socket."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.contract.runtime.simulated import (
    ANTHROPIC,
    CHAT,
    MESSAGES,
    Raw,
    Simulated,
    ask,
    message,
    simulating,
)

WIRES = {CHAT: ask(), MESSAGES: message()}
ENDS = {CHAT: b"[DONE]", MESSAGES: b"message_stop"}
END = b"0\r\n\r\n"
QUIET = 0.3  # nothing more comes in this time
SCRIPT = {"default": "one two three"}
wires = pytest.mark.parametrize("path", list(WIRES))


@asynccontextmanager
async def raw(
    path: str, fault: str, *, stream: bool = False
) -> AsyncIterator[tuple[Raw, Simulated]]:
    async with simulating(answers=SCRIPT) as simulator:
        body = {**WIRES[path], "stream": stream}
        connection = await simulator.raw(path, body, **{**ANTHROPIC, "x-simulate": fault})
        yield connection, simulator
        connection.close()


def broken(counts: dict[str, Any]) -> tuple[int, int, int]:
    """Return completed answers, broken ones, and the output tokens that these had sent."""
    return counts["completed"], counts["broken"]["answers"], counts["broken"]["outputTokens"]


@wires
async def test_a_reset_before_the_headers(path: str) -> None:
    async with raw(path, "reset") as (connection, simulator):
        with pytest.raises(ConnectionResetError):
            await connection.rest()
        assert broken(await simulator.counts()) == (0, 1, 0)
    assert connection.received == b""


@wires
async def test_a_reset_in_the_middle_of_a_stream_comes_after_its_chunks(path: str) -> None:
    async with raw(path, "reset; afterChunks=2", stream=True) as (connection, simulator):
        with pytest.raises(ConnectionResetError):
            await connection.rest()
        assert broken(await simulator.counts()) == (0, 1, 2)
    assert b"200 OK" in connection.received
    assert b'" two"' in connection.received
    assert b"three" not in connection.received


@wires
async def test_a_reset_in_the_middle_of_a_plain_answer(path: str) -> None:
    async with raw(path, "reset; afterChunks=1") as (connection, _):
        await connection.until(b'"model":"m"')
        with pytest.raises(ConnectionResetError):
            await connection.rest()


@wires
async def test_a_hang_before_the_headers_sends_nothing_until_the_client_goes(path: str) -> None:
    async with raw(path, "hang") as (connection, simulator):
        assert await connection.is_silent(QUIET)
        assert (await simulator.counts())["inFlight"] == 1
        connection.close()
        await until(simulator, in_flight=0)
        assert broken(await simulator.counts()) == (0, 1, 0)


async def until(simulator: Simulated, *, in_flight: int) -> None:
    async with asyncio.timeout(10):
        while (await simulator.counts())["inFlight"] != in_flight:  # noqa: ASYNC110  # it is a count over there
            await asyncio.sleep(0.01)


@wires
async def test_a_hang_in_the_middle_of_a_stream(path: str) -> None:
    async with raw(path, "hang; afterChunks=1", stream=True) as (connection, _):
        await connection.until(b'"one"')
        assert await connection.is_silent(QUIET)
    assert b"two" not in connection.received


@wires
async def test_a_trickling_stream_never_ends(path: str) -> None:
    fault = "trickle; perChunkSeconds=0.01"
    async with raw(path, fault, stream=True) as (connection, simulator):
        async with asyncio.timeout(10):
            while connection.received.count(b'"one"') < 3:  # the answer has it once
                connection.received += await connection.reader.read(65_536)
        assert broken(await simulator.counts()) == (0, 0, 0)
    assert ENDS[path] not in connection.received


async def test_a_trickling_plain_answer_sends_blanks_for_ever() -> None:
    async with raw(CHAT, "trickle; perChunkSeconds=0.01") as (connection, _):
        await connection.until(b"1\r\n \r\n" * 5)
    assert b"{" not in connection.received


async def test_slow_headers_come_byte_by_byte() -> None:
    async with raw(CHAT, "slowHeaders; perByteSeconds=0.002") as (connection, simulator):
        began, pieces = time.monotonic(), 0
        async with asyncio.timeout(20):
            while b"\r\n\r\n" not in connection.received:
                connection.received += await connection.reader.read(65_536)
                pieces += 1
        took = time.monotonic() - began
        await connection.until(b'"total_tokens"')
        await until(simulator, in_flight=0)
        assert broken(await simulator.counts()) == (1, 0, 0)
    head = connection.received.partition(b"\r\n\r\n")[0]
    assert took >= 0.002 * len(head)
    assert pieces > 10


@wires
@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_answer_is_good_in_the_end(path: str, stream: bool) -> None:
    began = time.monotonic()
    fault = "latency; firstSeconds=0.2; perChunkSeconds=0.1"
    async with raw(path, fault, stream=stream) as (connection, simulator):
        await connection.until(ENDS[path] if stream else b'"one two three"')
        await until(simulator, in_flight=0)
        assert broken(await simulator.counts()) == (1, 0, 0)
    assert time.monotonic() - began >= 0.2 + 3 * 0.1


@wires
async def test_a_truncated_stream_ends_properly_and_too_early(path: str) -> None:
    async with raw(path, "truncate; afterChunks=1", stream=True) as (connection, simulator):
        await connection.until(END)
        assert broken(await simulator.counts()) == (0, 1, 1)
    assert ENDS[path] not in connection.received


@wires
async def test_a_truncated_plain_answer_is_shorter_than_it_says(path: str) -> None:
    async with raw(path, "truncate") as (connection, _):
        head, _, body = (await connection.rest()).partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert 0 < len(body) < length


@wires
async def test_a_malformed_chunk_is_half_of_its_json(path: str) -> None:
    async with raw(path, "malformed; afterChunks=1", stream=True) as (connection, _):
        received = await connection.until(END)
    data = [line[6:] for line in received.split(b"\n") if line.startswith(b"data: {")]
    assert sum(not is_json(each) for each in data) == 1
    assert ENDS[path] in received


@wires
async def test_a_malformed_plain_answer_is_half_of_its_json(path: str) -> None:
    async with raw(path, "malformed") as (connection, _):
        await connection.until(b'"model":"m"')
        body = connection.received.partition(b"\r\n\r\n")[2]
    assert body.startswith(b"{")
    assert not is_json(body)


def is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@wires
@pytest.mark.parametrize(("more", "body"), [("", b"<html>"), ("; contentType=text/plain", b"{")])
async def test_a_wrong_content_type(path: str, more: str, body: bytes) -> None:
    async with raw(path, "contentType" + more) as (connection, _):
        received = await connection.until(b"\r\n\r\n" + body)
    wanted = more.partition("=")[2] or "text/html"
    assert f"content-type: {wanted}\r\n".encode() in received


@wires
async def test_an_error_with_the_status_200(path: str) -> None:
    async with raw(path, 'errorBody; body={"error": {"message": "sorry"}}') as (connection, _):
        received = await connection.until(b'{"error":{"message":"sorry"}}')
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")


@wires
async def test_retry_after_as_a_date_lies_in_the_future(path: str) -> None:
    async with simulating() as simulator:
        fault = "status; status=429; retryAfterSeconds=60; retryAfterDate=true"
        response, _ = await simulator.post(path, WIRES[path], **ANTHROPIC, **{"x-simulate": fault})
    at = parsedate_to_datetime(response.headers["retry-after"]).timestamp()
    assert 50 <= at - time.time() <= 61


async def test_a_models_name_orders_a_fault() -> None:
    async with simulating() as simulator:
        named = ask() | {"model": "gpt-4o/simulate:status:status@503:retryAfterSeconds@9"}
        response, _ = await simulator.post(CHAT, named)
        healthy, _ = await simulator.post(CHAT, ask())
    assert (response.status, response.headers["retry-after"], healthy.status) == (503, "9", 200)


async def test_a_wrong_order_of_one_request_is_told_and_not_obeyed() -> None:
    async with simulating() as simulator:
        response, body = await simulator.post(CHAT, ask(), **{"x-simulate": "status; status=x"})
    assert (response.status, body["error"]["code"]) == (400, "invalid_simulation")
    assert body["error"]["message"].startswith("x-simulate.status: must be a whole number")


async def test_a_client_that_leaves_a_stream_is_not_billed() -> None:
    async with raw(CHAT, "latency; perChunkSeconds=0.2", stream=True) as (connection, simulator):
        await connection.until(b'"one"')
        connection.close()
        await until(simulator, in_flight=0)
        counts = await simulator.counts()
    assert broken(counts)[:2] == (0, 1)
    assert counts["billed"]["outputTokens"] == 0


async def test_requests_in_one_write_are_answered_one_after_another() -> None:
    async with simulating(answers=SCRIPT) as simulator:
        slow = ask(stream=True)
        connection = await simulator.raw(CHAT, slow, x_simulate="latency; perChunkSeconds=0.05")
        content = json.dumps(ask()).encode()
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n\r\n"
        connection.writer.write((head.encode() + content) * 2)
        async with asyncio.timeout(10):
            while connection.received.count(b'"total_tokens"') < 2:
                connection.received += await connection.reader.read(65_536)
        connection.close()
    assert connection.received.index(b"[DONE]") < connection.received.index(b'"total_tokens"')


@pytest.mark.parametrize(
    "request_", [b"nonsense\r\n\r\n", b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n"]
)
async def test_what_is_no_request_is_refused(request_: bytes) -> None:
    async with simulating() as simulator:
        port = int(simulator.url.rpartition(":")[2])
        connection = Raw(*await asyncio.open_connection("127.0.0.1", port))
        connection.writer.write(request_)
        received = await connection.rest()
        connection.close()
    assert received.startswith(b"HTTP/1.1 400 ")


async def test_a_body_may_be_announced_first_and_come_in_chunks() -> None:
    content = json.dumps(ask()).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
    async with simulating(answers=SCRIPT) as simulator:
        port = int(simulator.url.rpartition(":")[2])
        connection = Raw(*await asyncio.open_connection("127.0.0.1", port))
        connection.writer.write(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        await connection.until(b"HTTP/1.1 100 Continue\r\n\r\n")
        for part in (content[:10], content[10:]):
            connection.writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        connection.writer.write(END)
        await connection.until(b'"one two three"')
        connection.close()
