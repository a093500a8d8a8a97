"""`X-Request-Id`: on every answer of a real runtime, and in the log of its request."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.runtime import serving

CHAT = "/v1/chat/completions"
GIVEN = "3f1c-from.the~caller"
MADE = re.compile(r"(chatcmpl-|req_)[0-9a-f]{24}")
SCRIPT = """
default: hello
rules:
  - {match: limit, fault: {kind: status, status: 429, retryAfterSeconds: 7}}
  - {match: break, answer: one two three, fault: {kind: reset, afterTokens: 1}}
"""


def said(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving.Process]:
    """An entry that asks for keys, with a sibling that is a process of its own."""
    folder = tmp_path_factory.mktemp("ids")
    research = serving.config("research", script=SCRIPT) | {"entry": "research"}
    with serving.process(research, folder) as sibling:
        siblings = [{"name": "research", "url": sibling.url}]
        front = serving.config("front", script=SCRIPT, siblings=siblings)
        with serving.process(front, folder) as running:
            yield running


REQUESTS: list[Any] = [  # those that fail come last: they open the breaker
    pytest.param("POST", "/v1/embeddings", {"input": "a"}, 200, id="embeddings"),
    pytest.param("POST", CHAT, said(), 200, id="an answer"),
    pytest.param("POST", CHAT, said(stream=True), 200, id="a stream"),
    pytest.param("POST", CHAT, said(model="research"), 200, id="a sibling's answer"),
    pytest.param("POST", CHAT, said(model="research", stream=True), 200, id="a sibling's stream"),
    pytest.param("POST", CHAT, said("limit"), 429, id="429"),
    pytest.param("POST", CHAT, said("limit", model="research"), 429, id="a sibling's 429"),
    pytest.param("POST", CHAT, said("break", stream=True), 200, id="a stream that breaks"),
    pytest.param("POST", CHAT, {}, 400, id="400"),
    pytest.param("POST", CHAT, said(model="nobody"), 404, id="no such agent"),
    pytest.param("GET", "/v1/nothing", None, 404, id="no such path"),
    pytest.param("GET", CHAT, None, 405, id="405"),
    pytest.param("GET", "/v1/models", None, 200, id="models"),
    pytest.param("GET", "/health", None, 200, id="a probe"),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), REQUESTS)
def test_it_is_on_every_answer(
    entry: serving.Process, method: str, path: str, body: Any, status: int
) -> None:
    url = entry.url + path
    own = httpx.request(method, url, json=body, headers={"X-Request-Id": GIVEN})
    assert (own.status_code, own.headers.get_list("x-request-id")) == (status, [GIVEN])
    for bad in ("x" * 200, "a b", '<script>"'):
        found = httpx.request(method, url, json=body, headers={"X-Request-Id": bad})
        (made,) = found.headers.get_list("x-request-id")
        assert MADE.fullmatch(made)
        assert bad not in found.text


def test_what_is_no_request_has_one_too(entry: serving.Process) -> None:
    found = httpx.get(entry.url, headers={"X-Large": "x" * 40_000})
    assert found.status_code == 431
    assert MADE.fullmatch(found.headers["x-request-id"])


async def test_who_is_not_let_in_gets_it(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")
    auth = {"type": "APIKey", "apiKeys": {"file": str(tmp_path / "keys")}}
    document = serving.config() | {"contract": "v1.1", "guard": {"auth": auth}}
    async with serving.serving(document) as served, httpx.AsyncClient() as http:
        found = await http.post(served.url + CHAT, json=said(), headers={"X-Request-Id": GIVEN})
    assert found.status_code in {401, 503}
    assert found.headers["x-request-id"] == GIVEN


async def test_it_is_in_the_log_of_the_request_alone(tmp_path: Path) -> None:
    """And so is the trace that a caller brings, whether we record it or not."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    (tmp_path / "key").write_text("a key of many characters")
    pii = {"key": {"file": str(tmp_path / "key")}, "kinds": [{"kind": "Email", "policy": "Mask"}]}
    document = serving.config() | {"contract": "v1.1", "guard": {"pii": pii}}
    with serving.process(document, tmp_path) as running:
        headers = {"x-request-id": GIVEN, "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
        async with httpx.AsyncClient() as http:
            await http.post(running.url + CHAT, json=said("bob@example.com"), headers=headers)
        running.terminate()
        lines = [json.loads(each) for each in (await asyncio.to_thread(running.log)).splitlines()]
    ids = {each["message"]: (each.get("request_id"), each.get("trace_id")) for each in lines}
    assert ids["personal data found"] == (GIVEN, trace)
    assert ids["stopped"] == (None, None)
