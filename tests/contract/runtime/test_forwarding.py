"""The entry passes a request on to the sibling that `model` names, between two processes."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests import ports
from tests.contract.runtime import serving
from tests.contract.runtime.serving import (
    EVENT_STREAM,
    Process,
    answer,
    chunk,
    config,
    process,
    upstream,
)

SCRIPT = """
default: "I am {agent} in turn {turn}."
rules:
  - {match: break, answer: one two three, fault: {kind: reset, afterTokens: 1}}
  - {match: limit, fault: {kind: status, status: 429, retryAfterSeconds: 7}}
"""
ASKED: Any = {"model": "research", "messages": [{"role": "user", "content": "hello"}]}


def said(text: str) -> Any:
    return {"model": "research", "messages": [{"role": "user", "content": text}]}


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """An entry whose sibling is a process of its own."""
    folder = tmp_path_factory.mktemp("forwarding")
    research = config("research", script=SCRIPT) | {"entry": "research"}
    with process(research, folder) as sibling:
        siblings = [
            {"name": "research", "url": sibling.url},
            {"name": "gone", "url": f"http://127.0.0.1:{ports.free()}"},
        ]
        front = config("front", script=SCRIPT, siblings=siblings)
        with process(front, folder) as running:
            yield running


@pytest.fixture
def api(entry: Process) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{entry.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


def test_a_sibling_answers(api: OpenAI) -> None:
    found = api.chat.completions.create(**ASKED)
    assert (found.model, found.choices[0].message.content) == (
        "research",
        "I am research in turn 1.",
    )


def test_a_sibling_streams(api: OpenAI) -> None:
    stream = api.chat.completions.create(
        **ASKED, stream=True, stream_options={"include_usage": True}
    )
    *pieces, last = list(stream)
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
    assert text == "I am research in turn 1."
    assert last.usage is not None


@pytest.mark.parametrize("stream", [False, True])
def test_the_request_s_id_is_the_completion_s_id_also_from_a_sibling(
    entry: Process, *, stream: bool
) -> None:
    found = httpx.post(f"{entry.url}/v1/chat/completions", json=ASKED | {"stream": stream})
    (request_id,) = found.headers.get_list("x-request-id")
    assert f'"id":"{request_id}"' in found.text


def test_the_session_goes_along(api: OpenAI) -> None:
    headers = {"X-Session-Id": "s-1"}
    for turn in (1, 2):
        found = api.chat.completions.create(**ASKED, extra_headers=headers)
        assert found.choices[0].message.content == f"I am research in turn {turn}."
    own = api.chat.completions.create(**ASKED | {"model": "front"}, extra_headers=headers)
    assert own.choices[0].message.content == "I am front in turn 1."  # its own memory


def test_siblings_are_listed(api: OpenAI) -> None:
    assert [model.id for model in api.models.list()] == ["front", "research", "gone"]


def test_a_sibling_s_error_comes_back_as_it_is(api: OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        api.chat.completions.create(**said("limit"))
    assert caught.value.response.headers["retry-after"] == "7"
    with pytest.raises(openai.APIError, match="broke off"):
        list(api.chat.completions.create(**said("break"), stream=True))


def test_a_sibling_that_is_gone_is_named(api: OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        api.chat.completions.create(**ASKED | {"model": "gone"})
    assert (caught.value.status_code, caught.value.code) == (502, "agent_unreachable")
    assert "'gone'" in caught.value.message


def test_a_request_is_passed_on_once_at_most(entry: Process) -> None:
    found = httpx.post(
        f"{entry.url}/v1/chat/completions", json=ASKED, headers={"x-agentsystem-hop": "1"}
    )
    assert (found.status_code, found.json()["error"]["code"]) == (508, "forwarding_loop")


async def test_two_entries_that_name_each_other_do_not_loop() -> None:
    port = ports.free()
    sibling = {"name": "research", "url": f"http://127.0.0.1:{port}"}
    looped = config("front", siblings=[sibling])
    async with serving.serving(looped) as first:
        onward = config("front", siblings=[{"name": "research", "url": first.url}])
        async with serving.serving(onward) as second, httpx.AsyncClient() as http:
            found = await http.post(f"{second.url}/v1/chat/completions", json=ASKED)
    assert (found.status_code, found.json()["error"]["code"]) == (508, "forwarding_loop")


async def test_a_sibling_that_breaks_off_ends_the_stream_with_an_error_frame() -> None:
    async def cut(_request: dict[str, Any], writer: Any) -> None:
        head = EVENT_STREAM.replace(b"connection: close", b"content-length: 999")
        writer.write(head + b'data: {"choices":[]}\n\ndata: {"cho')

    async with upstream(cut) as there:
        document = config("front", siblings=[{"name": "research", "url": there.url}])
        async with serving.serving(document) as served, httpx.AsyncClient() as http:
            url = f"{served.url}/v1/chat/completions"
            found = await http.post(url, json=ASKED | {"stream": True})
    whole, broken, rest = found.text.split("\n\n")
    assert (found.status_code, whole, rest) == (200, 'data: {"choices":[]}', "")
    assert '"code":"agent_unreachable"' in broken


async def test_a_sibling_is_told_the_model_and_the_hop_but_not_the_client_s_key() -> None:
    async with upstream(answer(200, chunk("hi"))) as there:
        document = config("front", siblings=[{"name": "research", "url": there.url}])
        async with serving.serving(document) as served, httpx.AsyncClient() as http:
            await http.post(
                f"{served.url}/v1/chat/completions",
                json=ASKED,
                headers={"authorization": "Bearer secret", "x-session-id": "s-1"},
            )
    (request,) = there.requests
    assert request["body"] == ASKED
    assert request["headers"]["x-agentsystem-hop"] == "1"
    assert request["headers"]["x-session-id"] == "s-1"
    assert "authorization" not in request["headers"]
