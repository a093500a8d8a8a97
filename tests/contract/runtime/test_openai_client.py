"""The official `openai` client, over real sockets, finds here what it expects of OpenAI."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from openai import AsyncOpenAI

from agent_runtime.app import limits
from tests.contract.runtime import serving
from tests.contract.runtime.serving import Served, chunk, config, events, upstream
from tests.unit.runtime import streams

SCRIPT = """
default: "I am {agent} in turn {turn}."
rules:
  - {match: count, answer: one two three}
  - {match: crash, fault: {kind: status, status: 500}}
  - {match: limit, fault: {kind: status, status: 429, retryAfterSeconds: 7}}
  - {match: break, answer: one two three, fault: {kind: reset, afterTokens: 2}}
  - {match: slow, answer: done, latency: {firstTokenSeconds: 600}}
"""


@pytest.fixture(autouse=True)
def never_blocks() -> Iterator[None]:
    """Fail a test in which our code keeps the event loop waiting."""
    with blockbuster_ctx(scanned_modules=["agent_runtime"]) as detector:
        assert isinstance(detector, BlockBuster)
        yield


@asynccontextmanager
async def client(served: Served, **options: Any) -> AsyncIterator[AsyncOpenAI]:
    made = AsyncOpenAI(base_url=f"{served.url}/v1", api_key="unused", max_retries=0, **options)
    async with made:
        yield made


@asynccontextmanager
async def talking(**changes: Any) -> AsyncIterator[tuple[AsyncOpenAI, Served]]:
    document = config("front", "research", script=SCRIPT, **changes)
    async with serving.serving(document) as served, client(served) as made:
        yield made, served


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "front", "messages": [{"role": "user", "content": text}], **more}


async def test_a_plain_answer() -> None:
    async with talking() as (api, _):
        answer = await api.chat.completions.create(**ask("count", temperature=0.2, seed=1))
    assert answer.choices[0].message.content == "one two three"
    assert (answer.object, answer.model, answer.choices[0].finish_reason) == (
        "chat.completion", "front", "stop",
    )  # fmt: skip
    assert answer.usage is not None
    assert (answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 6)
    assert answer._request_id == answer.id


async def test_a_streamed_answer() -> None:
    async with talking() as (api, _):
        stream = await api.chat.completions.create(**ask("count"), stream=True)
        chunks = [piece async for piece in stream]
    assert [c.choices[0].delta.content for c in chunks] == ["one", " two", " three", None]
    assert [c.choices[0].delta.role for c in chunks] == ["assistant", None, None, None]
    assert [c.choices[0].finish_reason for c in chunks] == [None, None, None, "stop"]
    assert {(c.object, c.model) for c in chunks} == {("chat.completion.chunk", "front")}
    assert len({c.id for c in chunks}) == 1
    assert all(c.usage is None for c in chunks)


async def test_include_usage_adds_one_last_chunk_without_choices() -> None:
    async with talking() as (api, _):
        stream = await api.chat.completions.create(
            **ask("count"), stream=True, stream_options={"include_usage": True}
        )
        *pieces, last = [piece async for piece in stream]
    assert all(piece.usage is None for piece in pieces)
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (3, 3)


async def test_a_raw_stream_ends_with_done() -> None:
    async with talking() as (_, served), aiohttp.ClientSession() as http:
        url = f"{served.url}/v1/chat/completions"
        async with http.post(url, json=ask("count", stream=True)) as response:
            body = await response.read()
    assert response.content_type == "text/event-stream"
    assert body.endswith(b"\n\ndata: [DONE]\n\n")
    assert all(part.startswith(b"data: ") for part in body.split(b"\n\n")[:-1])


async def test_the_agents_are_the_models() -> None:
    async with talking() as (api, _):
        models = [model async for model in api.models.list()]
        one = await api.models.retrieve("research")
        with pytest.raises(openai.NotFoundError):
            await api.models.retrieve("gpt-4o")
    assert [model.id for model in models] == ["front", "research"]
    assert (one.id, one.object, one.owned_by) == ("research", "model", "support")


@pytest.mark.parametrize(
    ("model", "who"),
    [("front", "front"), ("research", "research"), ("support", "front"), ("", "front")],
)
async def test_a_model_names_the_agent_that_answers(model: str, who: str) -> None:
    async with talking() as (api, _):
        answer = await api.chat.completions.create(**ask("hello") | {"model": model})
    assert (answer.model, answer.choices[0].message.content) == (who, f"I am {who} in turn 1.")


async def test_an_unknown_model_is_not_found() -> None:
    async with talking() as (api, served):
        with pytest.raises(openai.NotFoundError) as caught:
            await api.chat.completions.create(**ask("hello") | {"model": "gpt-4o"})
        metrics = await served.metrics()
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert 'agent_requests_total{agent="-",status="404"} 1.0' in metrics


async def test_a_wrong_request_is_a_bad_request() -> None:
    async with talking() as (api, _):
        with pytest.raises(openai.BadRequestError) as caught:
            await api.chat.completions.create(model="front", messages=[])
    assert (caught.value.code, caught.value.param) == ("empty_array", "messages")
    assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_s_failure_has_a_status_even_for_streams(*, stream: bool) -> None:
    async with talking() as (api, _):
        with pytest.raises(openai.InternalServerError) as crashed:
            await api.chat.completions.create(**ask("crash"), stream=stream)
    async with talking() as (api, _):
        with pytest.raises(openai.RateLimitError) as limited:
            await api.chat.completions.create(**ask("limit"), stream=stream)
    assert (crashed.value.status_code, crashed.value.code) == (502, "provider_error")
    assert limited.value.response.headers["retry-after"] == "7"


async def test_a_break_after_the_first_byte_is_told_in_the_stream() -> None:
    async with talking() as (api, served):
        stream = await api.chat.completions.create(**ask("break"), stream=True)
        seen, failure = await streams.until(openai.APIError, stream)
        metrics = await served.metrics()
    assert [piece.choices[0].delta.content for piece in seen] == ["one", " two"]
    assert failure.code == "provider_broke_off"
    assert 'agent_requests_total{agent="front",status="interrupted"} 1.0' in metrics
    assert 'multiagent_requests_total{agent_type="front",status="error"} 1.0' in metrics


async def test_a_break_of_a_real_endpoint_is_told_in_the_stream() -> None:
    broken = events(chunk("hi"), done=False)
    async with (
        upstream(broken) as there,
        serving.serving(serving.openai_config(there.url)) as served,
        client(served) as api,
    ):
        stream = await api.chat.completions.create(**ask("hello"), stream=True)
        with pytest.raises(openai.APIError, match="broke off in the middle of its answer"):
            _ = [piece async for piece in stream]


SESSION = {"X-Session-Id": "s-1"}


@pytest.mark.parametrize("store", ["Memory", "SQLite"])
async def test_with_a_session_the_client_sends_only_what_is_new(store: str, tmp_path: Path) -> None:
    path = {"path": str(tmp_path / "s.db")} if store == "SQLite" else {}
    async with talking(sessions={"store": store, **path}) as (api, served):
        answers = [
            (await api.chat.completions.create(**ask("hello"), extra_headers=headers))
            for headers in (SESSION, SESSION, {"X-Session-Id": "s-2"}, None)
        ]
        stream = await api.chat.completions.create(
            **ask("hello"), extra_headers=SESSION, stream=True
        )
        text = "".join([c.choices[0].delta.content or "" async for c in stream])
        metrics = await served.metrics()
    turns = [answer.choices[0].message.content for answer in answers] + [text]
    assert turns == [f"I am front in turn {n}." for n in (1, 2, 1, 1, 3)]
    assert "agent_sessions 2.0" in metrics


async def test_a_broken_stream_leaves_no_turn_behind() -> None:
    async with talking() as (api, _):
        stream = await api.chat.completions.create(
            **ask("break"), extra_headers=SESSION, stream=True
        )
        with pytest.raises(openai.APIError):
            _ = [piece async for piece in stream]
        answer = await api.chat.completions.create(**ask("hello"), extra_headers=SESSION)
    assert answer.choices[0].message.content == "I am front in turn 1."


async def test_sessions_that_replicas_do_not_share_are_refused_by_name() -> None:
    async with talking(sessions={"store": "Memory", "shared": False}) as (api, _):
        with pytest.raises(
            openai.BadRequestError, match=r"spec\.memory\.sessions\.store"
        ) as caught:
            await api.chat.completions.create(**ask("hello"), extra_headers=SESSION)
        assert caught.value.code == "sessions_not_shared"
        await api.chat.completions.create(**ask("hello"))  # without a session all is well


async def test_a_session_id_cannot_leave_its_scope() -> None:
    async with talking() as (api, _):
        with pytest.raises(openai.BadRequestError) as caught:
            await api.chat.completions.create(
                **ask("hello"), extra_headers={"X-Session-Id": "../other"}
            )
    assert caught.value.code == "invalid_session_id"


async def test_a_missing_key_is_told_and_the_pod_stays_ready(tmp_path: Path) -> None:
    key = {"file": str(tmp_path / "key"), "secretName": "keys", "secretKey": "openai"}
    document = serving.openai_config("http://127.0.0.1:9/v1", apiKey=key)
    async with serving.serving(document) as served, client(served) as api:
        with pytest.raises(openai.InternalServerError) as caught:
            await api.chat.completions.create(**ask("hello"))
        async with aiohttp.ClientSession() as http, http.get(f"{served.url}/ready") as ready:
            assert ready.status == 200
        metrics = await served.metrics()
    assert (caught.value.status_code, caught.value.code) == (503, "provider_key_missing")
    assert "provider 'remote'" in caught.value.message
    assert "Secret 'keys', key 'openai'" in caught.value.message
    assert 'agent_provider_key_missing{provider="remote"} 1.0' in metrics
    assert 'agent_provider_errors_total{class="key_missing",provider="remote"} 1.0' in metrics


async def test_tokens_and_durations_are_counted_by_agent() -> None:
    async with talking() as (api, served):
        await api.chat.completions.create(**ask("count"))
        metrics = await served.metrics()
    for line in (
        'agent_requests_total{agent="front",status="200"} 1.0',
        'multiagent_requests_total{agent_type="front",status="success"} 1.0',
        'multiagent_request_duration_seconds_count{agent_type="front"} 1.0',
        'agent_tokens_total{agent="front",direction="input"} 3.0',
        'agent_tokens_total{agent="front",direction="output"} 3.0',
        "multiagent_active_agents 2.0",
        "agent_requests_in_flight 0.0",
        "agent_draining 0.0",
    ):
        assert line in metrics.splitlines()


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not reached():  # noqa: ASYNC110  # no event: tests look from outside
            await asyncio.sleep(0)


async def test_a_client_that_leaves_frees_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DISCONNECT_PATIENCE_SECONDS", 0.0)
    async with talking() as (api, served):
        admission = served.parts.admission
        asking = asyncio.create_task(api.chat.completions.create(**ask("slow")))
        await until(lambda: admission.in_flight == 1)
        asking.cancel()
        await until(lambda: admission.in_flight == 0)
        assert 'status="client_gone"} 1.0' in await served.metrics()


async def raw(served: Served, sent: bytes) -> bytes:
    host, port = served.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    received = await reader.read()
    writer.close()
    return received


@pytest.mark.parametrize(
    ("sent", "want"),
    [
        (b"GET / HTTP/1.1\r\nx: " + b"y" * limits.MAX_HEAD_BYTES + b"\r\n\r\n", b"431"),
        (b"GET /" + b"y" * limits.MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET http:///%zz HTTP/1.1\r\nconnection: close\r\n\r\n", b"4"),
        (b"PUT /v1/chat/completions HTTP/1.0\r\n\r\n", b"405"),
        (b"GET /nowhere HTTP/1.0\r\n\r\n", b"404"),
        (b"POST /v1/chat/completions HTTP/1.0\r\ncontent-length: 3000000\r\n\r\n", b"413"),
        (b"POST /v1/chat/completions HTTP/1.0\r\ncontent-length: 1\r\n\r\n{", b"400"),
    ],
)  # fmt: skip
async def test_bad_http_is_refused_in_the_same_shape(sent: bytes, want: bytes) -> None:
    async with talking() as (_, served):
        received = await raw(served, sent)
    assert received.startswith(b"HTTP/1.1 " + want)
    assert b'{"error":{"message":' in received


async def test_a_client_that_never_finishes_its_request_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.05)
    async with talking() as (_, served):
        assert await raw(served, b"GET /health HTTP/1.1\r\n") == b""
        assert await raw(served, b"") == b""


async def test_probes_answer() -> None:
    async with talking() as (_, served), aiohttp.ClientSession() as http:
        for path, want in (("/health", {"status": "ok"}), ("/ready", {"status": "ready"})):
            async with http.get(served.url + path) as response:
                assert (response.status, await response.json()) == (200, want)
        served.parts.admission.drain()
        async with http.get(f"{served.url}/ready") as response:
            assert (response.status, response.headers["connection"]) == (503, "close")
        async with http.get(f"{served.url}/health") as response:
            assert response.status == 200
