"""Clients that send nothing, read nothing, or speak HTTP oddly cost a bounded time and memory."""

import asyncio
import contextlib
import gc
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx
import pytest

from agent_runtime.app import limits
from agent_runtime.app.cycle import Cycle
from tests.contract.runtime.serving import (
    Served,
    answer,
    chunk,
    config,
    events,
    openai_config,
    serving,
    upstream,
)


def head(length: int, *more: str) -> bytes:
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: x", f"content-length: {length}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def asked(**more: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "hello"}], **more}).encode()


async def connect(served: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = httpx.URL(served.url)
    return await asyncio.open_connection(url.host, url.port)


async def until_in_flight(served: Served, number: int) -> None:
    async with asyncio.timeout(10):
        while served.parts.admission.in_flight != number:  # noqa: ASYNC110  # it is a number
            await asyncio.sleep(0.01)


async def test_a_body_of_which_nothing_comes_is_a_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.1)
    async with serving(config()) as served:
        reader, writer = await connect(served)
        writer.write(head(10))
        async with asyncio.timeout(5):
            status = await reader.readline()
        writer.close()
    assert status.startswith(b"HTTP/1.1 408 ")


async def test_bodies_that_are_still_coming_count_as_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_BODY_BYTES_IN_FLIGHT", 100_000)
    async with serving(config()) as served:
        _, slow = await connect(served)
        slow.write(head(100_000) + b" " * 99_000)
        await until_in_flight(served, 1)
        url, body = f"{served.url}/v1/chat/completions", asked(padding="x" * 2000)
        async with httpx.AsyncClient() as http, asyncio.timeout(10):
            while (refused := await http.post(url, content=body)).is_success:  # noqa: ASYNC110  # no event tells
                await asyncio.sleep(0.01)  # the slow one's bytes are on their way
            slow.close()
            await until_in_flight(served, 0)
            served_again = await http.post(url, content=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "overloaded")
    assert served_again.status_code == 200


async def test_a_client_that_reads_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STALLED_SECONDS", 0.2)
    large = {"choices": [{"delta": {"content": "x" * 500_000}, "finish_reason": None}]}
    gone = asyncio.Event()

    async def pour(_request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        try:
            while True:
                writer.write(b"data: " + json.dumps(large).encode() + b"\n\n")
                await writer.drain()
        except ConnectionError:
            gone.set()

    async with upstream(pour) as there, serving(openai_config(there.url)) as served:
        _, writer = await connect(served)
        body = asked(stream=True)
        writer.write(head(len(body)) + body)
        async with asyncio.timeout(10):
            await gone.wait()
            await until_in_flight(served, 0)
        writer.close()


async def test_an_offer_to_upgrade_is_declined_and_the_request_answered() -> None:
    async with serving(config()) as served:
        reader, writer = await connect(served)
        body = asked()
        offer = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk")
        async with asyncio.timeout(5):
            for _ in range(2):
                writer.write(head(len(body), *offer) + body)
                first = await reader.readuntil(b"\r\n\r\n")
                assert first.startswith(b"HTTP/1.1 200 ")
                size = int(first.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                assert b"chat.completion" in await reader.readexactly(size)
        writer.close()


@pytest.mark.parametrize("depth", [300, 900])
async def test_nesting_that_cannot_be_passed_on_is_the_client_s_fault(depth: int) -> None:
    body = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
    nested = b"[" * depth + b"]" * depth
    content = b'{"messages": [{"role": "user", "content": "x"}], "tools": ' + nested + b"}"
    async with upstream(answer(200, body)) as there:
        document = openai_config(there.url)
        async with serving(document) as served, httpx.AsyncClient() as http:
            found = await http.post(f"{served.url}/v1/chat/completions", content=content)
    assert found.status_code == 400


async def test_who_leaves_in_the_middle_takes_the_question_to_the_model_along() -> None:
    left = asyncio.Event()

    async def talk(_request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        await events(chunk("hi"), done=False)(_request, writer)
        with contextlib.suppress(ConnectionError):
            while not left.is_set():
                await asyncio.sleep(0.02)
                writer.write(b": still thinking\n\n")
                await writer.drain()
        left.set()

    session = "x-session-id: s-1"
    async with upstream(talk) as there, serving(openai_config(there.url)) as served:
        body = asked(stream=True)
        first, second = await connect(served), await connect(served)
        first[1].write(head(len(body), session) + body)
        await first[0].readuntil(b"hi")
        second[1].write(head(len(body), session) + body)  # waits for the first one's turn
        await until_in_flight(served, 2)
        second[1].close()
        await until_in_flight(served, 1)
        first[1].close()
        await until_in_flight(served, 0)
        async with asyncio.timeout(5):
            await left.wait()
        third = await connect(served)
        third[1].write(head(len(body), session) + body)
        await third[0].readuntil(b"hi")
        third[1].close()
    assert [len(request["body"]["messages"]) for request in there.requests] == [2, 2]


@pytest.mark.parametrize("announced", [True, False])
async def test_who_sends_too_much_still_gets_the_answer(*, announced: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b" " * 10_000

    content: Any = b" " * 4_000_000 if announced else parts()
    async with serving(config()) as served, httpx.AsyncClient() as http:
        url = f"{served.url}/v1/chat/completions"
        found = await http.post(url, content=content)
        assert (found.status_code, found.json()["error"]["code"]) == (413, "request_too_large")
        assert (await http.post(url, content=asked())).status_code == 200


async def test_who_never_ends_a_refused_body_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINGER_SECONDS", 0.1)
    async with serving(config()) as served:
        reader, writer = await connect(served)
        writer.write(head(4_000_000) + b" ")
        async with asyncio.timeout(5):
            assert b"request_too_large" in await reader.read()
        writer.close()


async def test_requests_leave_nothing_for_the_collector() -> None:
    """Memory stays flat under load only if what a request used is free when it ends."""
    async with serving(config()) as served, aiohttp.ClientSession() as http:
        url = f"{served.url}/v1/chat/completions"
        gc.collect()
        gc.disable()
        try:
            for body in (asked(), asked(stream=True), b"no JSON", asked(n="no number")):
                for _ in range(5):
                    async with http.post(url, data=body) as response:
                        await response.read()
            left = sum(type(found) is Cycle for found in gc.get_objects())
        finally:
            gc.enable()
    assert left <= 1  # of the connection that is still open
