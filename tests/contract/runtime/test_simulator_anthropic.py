"""The simulator speaks Anthropic's messages API: the documented bodies, headers, events, errors."""

import json
from typing import Any

import pytest

from tests.contract.runtime.simulated import (
    ANTHROPIC,
    MESSAGES,
    Simulated,
    events,
    message,
    simulating,
)

SCRIPT = {
    "default": "one two three",
    "rules": [{"match": "weather", "answer": 'tool_call weather {"city": "Paris"}'}],
}
TOOL = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CACHED = {"type": "text", "text": "a b c d", "cache_control": {"type": "ephemeral"}}


async def post(simulator: Simulated, body: dict[str, Any], **headers: str) -> tuple[int, Any]:
    response, answer = await simulator.post(MESSAGES, body, **{**ANTHROPIC, **headers})
    return response.status, answer


async def stream(simulator: Simulated, body: dict[str, Any], **headers: str) -> Any:
    url, sent = simulator.url + MESSAGES, {**ANTHROPIC, **headers}
    async with simulator.http.post(url, json={**body, "stream": True}, headers=sent) as response:
        assert response.content_type == "text/event-stream"
        return events(await response.read())


async def test_a_plain_message() -> None:
    async with simulating(answers=SCRIPT) as simulator:
        status, answer = await post(simulator, message())
    assert (status, answer.pop("id")[:4]) == (200, "msg_")
    assert answer == {
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "one two three"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 4,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 3,
        },
    }


async def test_a_streamed_message_has_the_documented_events_in_their_order() -> None:
    async with simulating(answers=SCRIPT) as simulator:
        found = await stream(simulator, message())
        _, plain = await post(simulator, message())
    assert [name for name, _ in found] == [
        "message_start", "content_block_start", "ping",
        "content_block_delta", "content_block_delta", "content_block_delta",
        "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert all(data["type"] == name for name, data in found)
    start, block, _, *deltas, stop, ended, _ = [data for _, data in found]
    assert (start["message"]["content"], start["message"]["stop_reason"]) == ([], None)
    assert start["message"]["usage"]["input_tokens"] == plain["usage"]["input_tokens"]
    assert block["content_block"] == {"type": "text", "text": ""}
    assert [d["delta"] for d in deltas] == [
        {"type": "text_delta", "text": text} for text in ("one", " two", " three")
    ]
    assert {d["index"] for d in (block, *deltas, stop)} == {0}
    assert ended["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert ended["usage"] == plain["usage"]


@pytest.mark.parametrize(
    ("text", "choice", "city"),
    [("weather", {"type": "auto"}, "Paris"), ("hi", {"type": "any"}, "text"),
     ("hi", {"type": "tool", "name": "weather"}, "text")],
)  # fmt: skip
async def test_a_tool_is_used_plain_and_streamed(
    text: str, choice: dict[str, str], city: str
) -> None:
    body = message(text, tools=[TOOL], tool_choice=choice)
    async with simulating(answers=SCRIPT) as simulator:
        _, plain = await post(simulator, body)
        found = [data for _, data in await stream(simulator, body)]
    [block] = plain["content"]
    assert (block["type"], block["name"], block["input"]) == ("tool_use", "weather", {"city": city})
    assert (block["id"][:6], plain["stop_reason"]) == ("toolu_", "tool_use")
    started = found[1]["content_block"]
    assert (started["type"], started["name"], started["input"]) == ("tool_use", "weather", {})
    deltas = [d["delta"] for d in found if d["type"] == "content_block_delta"]
    assert {delta["type"] for delta in deltas} == {"input_json_delta"}
    assert json.loads("".join(d["partial_json"] for d in deltas)) == {"city": city}
    assert found[-2]["delta"]["stop_reason"] == "tool_use"


async def test_max_tokens_ends_a_message() -> None:
    async with simulating(answers=SCRIPT) as simulator:
        _, answer = await post(simulator, message() | {"max_tokens": 2})
    assert (answer["content"][0]["text"], answer["stop_reason"]) == ("one two", "max_tokens")


async def test_a_marked_prefix_is_written_to_the_cache_and_read_from_it() -> None:
    async with simulating(answers=SCRIPT) as simulator:
        asked = [message(text, system=[CACHED]) for text in ("one", "two words")]
        usages = [(await post(simulator, body))[1]["usage"] for body in asked]
        [start, *_] = await stream(simulator, asked[1])
        counts = await simulator.counts()
    names = ("cache_creation_input_tokens", "cache_read_input_tokens", "input_tokens")
    assert [usages[0][n] for n in names] == [4, 0, 4]
    assert [usages[1][n] for n in names] == [0, 4, 5]
    assert [start[1]["message"]["usage"][n] for n in names] == [0, 4, 5]
    assert counts["billed"] == {
        "inputTokens": 14, "outputTokens": 9, "cacheWriteTokens": 4, "cacheReadTokens": 8,
    }  # fmt: skip


async def test_a_mark_on_the_request_caches_all_of_it() -> None:
    async with simulating() as simulator:
        body = message("a b", cache_control={"type": "ephemeral"})
        usages = [(await post(simulator, body))[1]["usage"] for _ in range(2)]
    assert [usage["cache_creation_input_tokens"] for usage in usages] == [5, 0]
    assert [usage["cache_read_input_tokens"] for usage in usages] == [0, 5]
    assert [usage["input_tokens"] for usage in usages] == [0, 0]


async def test_another_key_does_not_read_the_cache() -> None:
    async with simulating() as simulator:
        body = message(system=[CACHED])
        await post(simulator, body)
        _, other = await post(simulator, body, **{"x-api-key": "another"})
    assert other["usage"]["cache_creation_input_tokens"] == 4


async def test_an_overloaded_provider_leaves_nothing_in_the_cache() -> None:
    async with simulating() as simulator:
        body = message(system=[CACHED])
        await post(simulator, body, **{"x-simulate": "status; status=529"})
        _, answer = await post(simulator, body)
    assert answer["usage"]["cache_creation_input_tokens"] == 4


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"anthropic-version": "2023-06-01"}, 401, "authentication_error"),
        ({"x-api-key": "k"}, 400, "invalid_request_error"),
        ({"authorization": "Bearer k", "anthropic-version": "x"}, 401, "authentication_error"),
    ],
)
async def test_key_and_version_are_required(
    headers: dict[str, str], status: int, kind: str
) -> None:
    async with simulating() as simulator:
        response, answer = await simulator.post(MESSAGES, message(), **headers)
    assert (response.status, answer["type"], answer["error"]["type"]) == (status, "error", kind)


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ("status; status=400", 400, "invalid_request_error"),
        ("status; status=401", 401, "authentication_error"),
        ("status; status=403", 403, "permission_error"),
        ("status; status=404", 404, "not_found_error"),
        ("status; status=413", 413, "request_too_large"),
        ("status; status=429", 429, "rate_limit_error"),
        ("status; status=500", 500, "api_error"),
        ("status; status=529", 529, "overloaded_error"),
        ("quota", 400, "invalid_request_error"),
        ("quota; status=402", 402, "billing_error"),
        ("errorBody", 200, "api_error"),
    ],
)
async def test_errors_have_the_documented_shape(fault: str, status: int, kind: str) -> None:
    async with simulating() as simulator:
        found, answer = await post(simulator, message(), **{"x-simulate": fault})
    assert found == status
    assert set(answer) == {"type", "error"}
    assert (answer["type"], answer["error"]["type"]) == ("error", kind)
    assert answer["error"]["message"]


async def test_an_error_inside_a_stream_is_an_event_of_its_own() -> None:
    async with simulating(answers=SCRIPT) as simulator:
        found = await stream(simulator, message(), **{"x-simulate": "errorBody; afterChunks=1"})
    assert [name for name, _ in found[-2:]] == ["content_block_delta", "error"]
    assert found[-1][1]["error"]["type"] == "api_error"


async def test_rate_limits_are_told_in_this_protocols_headers() -> None:
    async with simulating(limits={"requestsPerMinute": 1}) as simulator:
        first, _ = await simulator.post(MESSAGES, message(), **ANTHROPIC)
        second, answer = await simulator.post(MESSAGES, message(), **ANTHROPIC)
    name = "anthropic-ratelimit-requests-"
    assert [first.headers[name + part] for part in ("limit", "remaining")] == ["1", "0"]
    assert first.headers[name + "reset"].endswith("Z")
    assert (first.status, second.status) == (200, 429)
    assert 1 <= int(second.headers["retry-after"]) <= 60
    assert answer["error"]["type"] == "rate_limit_error"


async def test_models_have_this_protocols_shape_for_its_clients() -> None:
    async with simulating() as simulator:
        url = f"{simulator.url}/v1/models"
        async with simulator.http.get(url, headers=ANTHROPIC) as response:
            models = await response.json()
    assert [model["type"] for model in models["data"]] == ["model"] * 3
    assert (models["has_more"], models["first_id"]) == (False, "sim-small")
