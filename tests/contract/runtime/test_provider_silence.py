"""An endpoint that keeps us waiting: silent, trickling, or never there at all."""

import asyncio
import socket
from typing import Any

import pytest

from agent_runtime.providers.base import ErrorClass, ProviderError
from tests.contract.runtime.serving import Handler, chunk, events, upstream
from tests.contract.runtime.test_providers import ASKED, failure, remote


async def trickle_headers(_request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    await _trickle(writer, b"x-a: b\r\n")


async def trickle_pings(_request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    await events(done=False)(_request, writer)
    await _trickle(writer, b": ping\n\n")


async def trickle_after_a_piece(_request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    await events(chunk("hi"), done=False)(_request, writer)
    await _trickle(writer, b": ping\n\n")


async def _trickle(writer: asyncio.StreamWriter, drop: bytes) -> None:
    for _ in range(200):
        writer.write(drop)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("handler", "want"),
    [
        (trickle_headers, ErrorClass.TIMEOUT),
        (trickle_pings, ErrorClass.TIMEOUT),
        (trickle_after_a_piece, ErrorClass.BROKEN),
    ],
)
async def test_a_trickle_that_brings_nothing_is_silence(handler: Handler, want: ErrorClass) -> None:
    found = await failure(handler, streaming=True, timeout_s=0.5)
    assert found.error_class is want


async def test_the_time_that_a_slow_client_takes_is_not_the_endpoint_s_silence() -> None:
    handler = events(chunk("one"), chunk("two"), chunk(None, "stop"))
    async with upstream(handler) as there, remote(there.url, timeout_s=1.0) as provider:
        seen = []
        async for piece in provider.stream(ASKED):
            await asyncio.sleep(1.2)
            seen.append(piece.delta.get("content"))
    assert seen == ["one", "two", None]


async def stall(_request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    await events(chunk("hi"), done=False)(_request, writer)
    await asyncio.sleep(5)


async def test_a_stream_that_falls_silent_after_its_first_piece_is_broken() -> None:
    found = await failure(stall, streaming=True, timeout_s=1.0)  # the first piece needs some of it
    assert found.error_class is ErrorClass.BROKEN


@pytest.mark.parametrize("streaming", [False, True])
async def test_an_endpoint_that_never_accepts_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, *, streaming: bool
) -> None:
    monkeypatch.setattr("agent_runtime.providers.endpoint.CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        async with remote(f"http://127.0.0.1:{port}") as provider:
            asked = anext(provider.stream(ASKED)) if streaming else provider.complete(ASKED)
            with pytest.raises(ProviderError) as caught:
                await asked
        for each in waiting:
            each.close()
    assert (caught.value.error_class, "within" in caught.value.message) == (
        ErrorClass.CONNECT,
        False,
    )
