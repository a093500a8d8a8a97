"""One bounded attempt per call; every failure is one of our errors."""

from __future__ import annotations

import asyncio

import orjson
import pytest
import yaml
from aiohttp import web

from agentsystem_operator import ports
from agentsystem_operator.adapters.api_client import CONNECTIONS_MAX, ApiClient, encode
from agentsystem_operator.adapters.connection import Connection
from agentsystem_operator.adapters.metrics import Metrics
from tests.fakes.api_server import serve
from tests.fakes.virtual_time import virtual


@virtual
async def test_a_call_that_hangs_is_given_up_after_five_seconds() -> None:
    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(3600)
        raise AssertionError

    async with serve(hang) as api:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ports.ClusterUnreachable):
            await api.call("get", "/x", kind="Service")
        assert asyncio.get_running_loop().time() - began == pytest.approx(5, abs=0.2)


@virtual
async def test_an_answer_that_stops_halfway_is_given_up_too() -> None:
    async def stall(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        await asyncio.sleep(3600)
        return response

    async with serve(stall) as api:
        with pytest.raises(ports.ClusterUnreachable):
            await api.call("get", "/x", kind="Service")


@virtual
async def test_a_closed_door_is_unreachable() -> None:
    link = Connection("http://127.0.0.1:1", None, lambda: "")
    api = ApiClient(link, metrics=Metrics())
    with pytest.raises(ports.ClusterUnreachable):
        await api.call("get", "/x", kind="Service")
    await api.close()


@virtual
async def test_a_failed_call_is_made_once() -> None:
    calls = []

    async def fail(request: web.BaseRequest) -> web.StreamResponse:
        calls.append(request.path)
        return web.json_response({}, status=500)

    async with serve(fail) as api:
        with pytest.raises(ports.ClusterUnreachable):
            await api.call("apply", "/x", kind="Service", body={"a": 1})
    assert calls == ["/x"]


@virtual
async def test_a_redirect_is_not_followed_with_our_token() -> None:
    async def redirect(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/elsewhere"})

    async with serve(redirect) as api:
        with pytest.raises(ports.Refused):
            await api.call("get", "/x", kind="Service")


@virtual
async def test_each_call_carries_the_token_of_its_moment() -> None:
    seen: list[str] = []

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization", ""))
        return web.json_response({})

    tokens = iter(["one", "two"])
    async with serve(note) as plain:
        link = Connection(plain.server, None, lambda: next(tokens))
        api = ApiClient(link, metrics=Metrics())
        await api.call("get", "/x", kind="Service")
        await api.call("get", "/x", kind="Service")
        await api.close()
    assert seen == ["Bearer one", "Bearer two"]


def test_text_that_yaml_would_spoil_is_escaped_and_means_the_same() -> None:
    text = "a\x7f\x85\x9f\u2028\u2029\ufeff\ufffe\uffff\U0001f600é\n"
    content = encode({"text": text})
    assert orjson.loads(content) == {"text": text}
    assert yaml.safe_load(content) == {"text": text}
    assert "\U0001f600" in content.decode()


@virtual
async def test_calls_in_flight_are_bounded_and_watches_do_not_count() -> None:
    """Each connection costs memory; a watch that waited for one would be blind."""
    at_once = most = 0

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal at_once, most
        at_once += "watch" not in request.query
        most = max(most, at_once)
        await asyncio.sleep(0.5)
        at_once -= "watch" not in request.query
        return web.Response(body=b"{}")

    async with serve(answer) as api, asyncio.TaskGroup() as group:
        for _ in range(2 * CONNECTIONS_MAX):
            group.create_task(api.call("get", "/x", kind="Service"))
        began = asyncio.get_running_loop().time()
        async with api.stream(
            "/x", kind="Service", query={"watch": "1"}, accept="application/json", silence_s=5
        ):
            assert asyncio.get_running_loop().time() - began < 1
    assert most == CONNECTIONS_MAX
