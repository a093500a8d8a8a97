"""Traces from real runtime processes, read by a collector over a real socket."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import ports
from tests.contract.runtime import serving, simulated
from tests.contract.runtime.collector import Collector, Span, collecting, exporting

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
TRACED = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "shop=a1,other=b2"}
SECRET = "zebra-crossing-7351"
CHAT = "/v1/chat/completions"


def said(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


async def post(url: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, str], str]:
    """Return status, headers and text of an answer."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json=body, headers=headers) as response,
    ):
        text = await response.text()
        return response.status, {k.lower(): v for k, v in response.headers.items()}, text


def by_name(spans: list[Span]) -> dict[str, Span]:
    return {f"{span.kind} {span.name}": span for span in spans}


@asynccontextmanager
async def two_pods(folder: Path, provider: str, endpoint: str) -> AsyncIterator[serving.Process]:
    """Run an entry and a sibling that asks a provider, each a process of its own."""
    with ExitStack() as stack:
        research = exporting(serving.openai_config(f"{provider}/v1"), endpoint)
        research |= {"entry": "research"}
        research["agents"] = [{"name": "research", "route": "chat"}]
        sibling = stack.enter_context(serving.process(research, folder))
        siblings = [{"name": "research", "url": sibling.url}]
        front = exporting(serving.config("front", siblings=siblings), endpoint)
        yield stack.enter_context(serving.process(front, folder))


async def test_a_trace_goes_through_entry_sibling_and_provider(tmp_path: Path) -> None:
    async def reply(request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        handler = serving.events(*_chunks()) if request["body"].get("stream") else _told()
        await handler(request, writer)

    async with (
        collecting() as collector,
        serving.upstream(reply) as provider,
        two_pods(tmp_path, provider.url, collector.url) as entry,
    ):
        for stream in (False, True):
            asked = said(model="research", stream=stream, temperature=0.5)
            status, headers, _ = await post(entry.url + CHAT, asked, **TRACED)
            assert status == 200
            _is_one_trace(await collector.until(5), provider.requests[-1]["headers"], headers)
            collector.spans.clear()


def _is_one_trace(spans: list[Span], sent: dict[str, str], headers: dict[str, str]) -> None:
    named = by_name(spans)
    served, called = named["client invoke_agent research"], named["internal invoke_agent research"]
    chat = named["client chat m"]
    entry, sibling = sorted((s for s in spans if s.kind == "server"), key=lambda s: s.start_ns)
    assert {span.trace_id for span in spans} == {TRACE}
    assert {span.state for span in spans} == {"shop=a1,other=b2"}
    chain = (entry, served, sibling, called, chat)
    ids = [span.span_id for span in chain]
    assert [span.parent_id for span in chain] == [CALLER, *ids[:-1]]
    assert not any(span.failed for span in spans)
    assert [entry.flags, served.flags] == [0x301, 0x101]
    assert sent["traceparent"] == f"00-{TRACE}-{chat.span_id}-01"
    assert sent["tracestate"] == "shop=a1,other=b2"
    assert sent["x-client-request-id"] == headers["x-request-id"]
    request_ids = {s.attributes["agentsystem.request_id"] for s in (entry, sibling)}
    assert request_ids == {headers["x-request-id"]}
    names = [span.resource["service.name"] for span in (entry, chat)]
    assert names == ["support--front", "support--research"]
    assert all(span.start_ns <= span.end_ns <= time.time_ns() for span in spans)


async def test_the_spans_have_the_attributes_of_the_conventions(tmp_path: Path) -> None:
    async with collecting() as collector, serving.upstream(_told()) as provider:
        document = exporting(serving.openai_config(f"{provider.url}/v1"), collector.url)
        async with serving.serving(document, tmp_path) as served:
            await post(served.url + CHAT, said(max_tokens=9, top_p=1.0, user="nobody's business"))
            spans = by_name(await collector.until(3))
    port = int(provider.url.rpartition(":")[2])
    server = spans[f"server POST {CHAT}"].attributes
    assert server.pop("agentsystem.request_id").startswith("chatcmpl-")
    assert server == {
        "http.request.method": "POST",
        "http.route": CHAT,
        "http.response.status_code": 200,
        "url.path": CHAT,
        "url.scheme": "http",
    }
    assert spans["internal invoke_agent front"].attributes == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "agentsystem",
        "gen_ai.agent.name": "front",
    }
    assert spans["client chat m"].attributes == {
        "agentsystem.provider": "remote",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.model": "m",
        "gen_ai.request.top_p": 1.0,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.model": "m-2026",
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 7,
        "server.address": "127.0.0.1",
        "server.port": port,
    }


def _told() -> serving.Handler:
    return serving.answer(200, _completion("hi"))


def _completion(text: str) -> dict[str, Any]:
    usage = {
        "prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16,
        "prompt_tokens_details": {"cached_tokens": 4},
    }  # fmt: skip
    choice = {"index": 0, "message": {"role": "assistant", "content": text}}
    return {"model": "m-2026", "choices": [choice | {"finish_reason": "stop"}], "usage": usage}


def _chunks() -> list[dict[str, Any]]:
    usage = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}
    return [
        serving.chunk("hi", model="m-2026"),
        serving.chunk(finish="stop", model="m-2026"),
        {"choices": [], "usage": usage},
    ]


def _chain(first: str, second: str) -> dict[str, Any]:
    """Return a config whose route begins with another provider."""

    def provider(name: str, url: str) -> dict[str, Any]:
        return {"name": name, "type": "OpenAI", "openAI": {"baseURL": f"{url}/v1"}}

    chain = [{"provider": "first", "model": "m1"}, {"provider": "second", "model": "m2"}]
    return serving.config(
        routes=[{"name": "chat", "chain": chain}],
        providers=[provider("first", first), provider("second", second)],
    )


async def test_each_retry_and_each_fallback_is_a_span_of_its_own(tmp_path: Path) -> None:
    broken = serving.answer(500, {"error": {"message": SECRET}})
    async with (
        collecting() as collector,
        serving.upstream(broken) as first,
        serving.upstream(_told()) as second,
        serving.serving(exporting(_chain(first.url, second.url), collector.url)) as served,
    ):
        assert (await post(served.url + CHAT, said()))[0] == 200
        spans = by_name(await collector.until(4))
        failed, whole = spans["client chat m1"], spans["client chat m2"]
        assert (failed.failed, failed.attributes["error.type"]) == (True, "server_error")
        assert (whole.failed, "error.type" in whole.attributes) == (False, False)
        parent = spans["internal invoke_agent front"]
        assert {failed.parent_id, whole.parent_id} == {parent.span_id}
        assert not parent.failed
        assert SECRET.encode() not in collector.raw
        metrics = await served.metrics()
    series = re.findall(
        r'gen_ai_client_operation_duration_seconds_count\{error_type="(\w*)".*?'
        r'gen_ai_request_model="(m\d)".*?\} 1\.0', metrics,
    )  # fmt: skip
    assert sorted(series) == [("", "m2"), ("server_error", "m1")]


async def test_an_error_is_told_by_its_kind_in_every_span(tmp_path: Path) -> None:
    broken = serving.answer(401, {"error": {"message": SECRET}})
    async with collecting() as collector, serving.upstream(broken) as provider:
        document = exporting(serving.openai_config(f"{provider.url}/v1"), collector.url)
        async with serving.serving(document, tmp_path) as served:
            assert (await post(served.url + CHAT, said(SECRET)))[0] == 502
            assert (await post(f"{served.url}/v1/{SECRET}", {}))[0] == 404
            spans = by_name(await collector.until(4))
    kinds = {name: (s.failed, s.attributes.get("error.type")) for name, s in spans.items()}
    assert kinds == {
        f"server POST {CHAT}": (True, "502"),
        "internal invoke_agent front": (True, "auth"),
        "client chat m": (True, "auth"),
        "server POST": (False, None),
    }
    assert SECRET.encode() not in collector.raw


@pytest.mark.parametrize(
    ("ratio", "flags", "traced"), [(1, "00", 0), (0, None, 0), (0, "01", 3), (1, None, 3)]
)
async def test_the_caller_s_decision_counts_and_the_ratio_without_one(
    ratio: float, flags: str | None, traced: int
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-{flags}"} if flags else {}
    async with collecting() as collector, serving.upstream(_told()) as provider:
        document = serving.openai_config(f"{provider.url}/v1")
        document = exporting(document, collector.url, samplingRatio=ratio)
        async with serving.serving(document) as served:
            await post(served.url + CHAT, said(), **headers)
        sent = provider.requests[0]["headers"]["traceparent"]
    assert len(collector.spans) == traced
    assert sent.endswith("-01" if traced else "-00")
    assert (TRACE in sent) == (flags is not None)


async def test_without_an_endpoint_the_caller_s_trace_is_passed_on_as_it_is() -> None:
    async with serving.upstream(_told()) as provider:
        document = serving.openai_config(f"{provider.url}/v1")
        async with serving.serving(document) as served:
            await post(served.url + CHAT, said(), **TRACED)
            await post(served.url + CHAT, said())
    first, second = (request["headers"] for request in provider.requests)
    assert {name: first[name] for name in TRACED} == TRACED
    assert TRACED.keys().isdisjoint(second)


async def test_what_waits_is_sent_when_the_process_ends(tmp_path: Path) -> None:
    async with collecting() as collector:
        document = exporting(serving.config(), collector.url)
        with serving.process(document, tmp_path) as running:
            await post(running.url + CHAT, said())
            running.terminate()
            code = await asyncio.to_thread(running.process.wait, 20)
    assert (code, len(collector.spans)) == (0, 3)


async def test_without_its_collector_a_pod_serves_on_and_ends_in_time(tmp_path: Path) -> None:
    gone = f"http://127.0.0.1:{ports.free()}"
    async with _silent() as hanging, asyncio.TaskGroup() as group:
        away = group.create_task(_told_of(tmp_path, gone, "away"))
        group.create_task(_told_of(tmp_path, hanging, "hanging"))
    assert away.result().count("traces are not delivered") == 1


async def _told_of(folder: Path, endpoint: str, entry: str) -> list[str]:
    """Return what a pod logs that serves and ends while it sends its traces there."""
    with serving.process(exporting(serving.config(entry), endpoint), folder) as running:
        log = asyncio.create_task(asyncio.to_thread(running.log))
        for _ in range(30):
            assert (await post(running.url + CHAT, said()))[0] == 200
        await asyncio.sleep(1.2)  # the first batch is being sent
        assert (await post(running.url + CHAT, said()))[0] == 200
        began = time.monotonic()
        running.terminate()
        assert await asyncio.to_thread(running.process.wait, 20) == 0
        assert time.monotonic() - began < 6.0
        return [json.loads(line)["message"] for line in (await log).splitlines()]


@asynccontextmanager
async def _silent() -> AsyncIterator[str]:
    """Accept connections and never answer."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass
        writer.close()

    listener = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


async def test_a_collector_that_comes_back_gets_what_was_kept(tmp_path: Path) -> None:
    async with collecting() as collector:
        collector.answers = [503]
        collector.rejected = 2
        async with serving.serving(exporting(serving.config(), collector.url)) as served:
            await post(served.url + CHAT, said())
            await collector.until(3)
            await asyncio.sleep(0.1)
            metrics = await served.metrics()
    assert "agent_trace_spans_exported_total 3.0" in metrics
    assert "agent_trace_spans_rejected_total 2.0" in metrics


async def test_headers_come_from_a_file_and_a_new_key_is_used_at_once(tmp_path: Path) -> None:
    """As LangSmith and others ask for: a key, and a project's name."""
    file = tmp_path / "headers"
    place = {"file": str(file), "secretName": "langsmith", "secretKey": "headers"}
    async with collecting() as collector:
        document = exporting(serving.config(), f"{collector.url}/otel", headers=place)
        async with serving.serving(document) as served:
            await post(served.url + CHAT, said())
            await _until(served, 'agent_trace_spans_dropped_total{reason="no_headers"} 3.0')
            file.write_text(f"x-api-key: {SECRET}\nLangsmith-Project: shop\n\n")
            await post(served.url + CHAT, said())
            await collector.until(3)
            assert SECRET not in await served.metrics()
    (headers,) = collector.headers
    assert (headers["x-api-key"], headers["langsmith-project"]) == (SECRET, "shop")


async def _until(served: serving.Served, text: str) -> None:
    async with asyncio.timeout(20):
        while text not in await served.metrics():  # noqa: ASYNC110  # nothing tells us
            await asyncio.sleep(0.1)


async def _content(collector: Collector, folder: Path, **otlp: Any) -> list[Span]:
    """Return the spans of a conversation about a secret, with an address in it."""
    (folder / "key").write_text("a key of many characters")
    pii = {
        "key": {"file": str(folder / "key")},
        "kinds": [{"kind": "Email", "policy": "Mask", "restore": True}],
    }
    async with simulated.simulating(answers={"default": "Write to eve@evil.example."}) as there:
        document = serving.openai_config(f"{there.url}/v1") | {"guard": {"pii": pii}}
        document = exporting(document, collector.url, **otlp)
        with serving.process(document, folder) as running:
            log = asyncio.create_task(asyncio.to_thread(running.log))
            text = f"{SECRET} is what bob@shop.example said"
            for stream in (False, True):
                status, _, answer = await post(running.url + CHAT, said(text, stream=stream))
                assert status == 200, answer
            await collector.until(6)
            async with aiohttp.ClientSession() as http, http.get(running.metrics_url) as response:
                metrics = await response.text()
            running.terminate()
            assert SECRET not in await log + metrics
    return collector.spans


async def test_no_message_is_in_traces_logs_or_metrics_by_default(tmp_path: Path) -> None:
    async with collecting() as collector:
        spans = await _content(collector, tmp_path)
    assert [span.events for span in spans] == [()] * 6
    for text in (SECRET, "bob@shop.example", "eve@evil.example", "Write to", "be kind"):
        assert text.encode() not in collector.raw


async def test_content_that_is_asked_for_shows_placeholders_only(tmp_path: Path) -> None:
    async with collecting() as collector:
        spans = await _content(collector, tmp_path, captureContent=True)
    told = [event for span in spans for event in span.events]
    assert len(told) == 2
    for name, attributes in told:
        assert name == "gen_ai.client.inference.operation.details"
        asked = json.loads(attributes["gen_ai.input.messages"])
        assert asked == [
            {"role": "system", "parts": [{"type": "text", "content": "be kind"}]},
            {
                "role": "user",
                "parts": [{"type": "text", "content": f"{SECRET} is what <EMAIL_1> said"}],
            },
        ]
        (answered,) = json.loads(attributes["gen_ai.output.messages"])
        (part,) = answered["parts"]
        assert part["content"] == "Write to <EMAIL_2>."
        assert answered["finish_reason"] == "stop"
    for text in ("bob@shop.example", "eve@evil.example"):
        assert text.encode() not in collector.raw
