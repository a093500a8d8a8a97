"""The events of a streamed response, in their order, and the object that they add up to."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from agent_runtime.app.chat_request import ChatRequest
from agent_runtime.app.errors import ApiError
from agent_runtime.app.responses_wire import Responses
from agent_runtime.providers.base import Answer, Chunk, Json

ASKED = ChatRequest("front", [], stream=True, include_usage=True, options={}, repeated={"top_p": 1})
USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 2,
    "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 1},
}
END = Chunk({}, "stop", USAGE)


def call(index: int, name: str | None = None, arguments: str | None = None) -> Chunk:
    function = {"name": name, "arguments": arguments}
    return Chunk(
        {"tool_calls": [{"index": index, "id": name and f"c{name}", "function": function}]}
    )


def read(written: bytes) -> list[Json]:
    found = []
    for part in written.decode().split("\n\n")[:-1]:
        name, data = part.split("\n")
        event = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


def streamed(*chunks: Chunk) -> list[Json]:
    writer = Responses().writer("resp_1", "front", ASKED)
    *pieces, last = chunks
    return read(b"".join(writer.event(piece) for piece in pieces) + writer.ending(last))


def whole(message: Json, reason: str = "stop") -> Json:
    answer = Answer({"role": "assistant", **message}, reason, USAGE)
    body: Json = orjson.loads(Responses().whole("resp_1", "front", ASKED, answer))
    return body


def kinds(events: Sequence[Json]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def without_ids(output: Any) -> Any:
    return [{key: value for key, value in item.items() if key != "id"} for item in output]


TEXT = ["output_item.added", "content_part.added", "output_text.delta"]
TEXT_DONE = ["output_text.done", "content_part.done", "output_item.done"]
CALLED = ["output_item.added", "function_call_arguments.delta"]
CALLED_DONE = ["function_call_arguments.done", "output_item.done"]
BEGUN = ["created", "in_progress"]


def test_a_text_has_the_official_sequence_of_events() -> None:
    events = streamed(Chunk({"content": "one"}), Chunk({"content": " two"}), END)
    assert kinds(events) == [*BEGUN, *TEXT, "output_text.delta", *TEXT_DONE, "completed"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["delta"] for event in events if "delta" in event] == ["one", " two"]
    (item,) = events[-1]["response"]["output"]
    assert {event["item_id"] for event in events if "item_id" in event} == {item["id"]}
    assert item["content"] == [
        {"type": "output_text", "text": "one two", "annotations": [], "logprobs": []}
    ]
    assert events[2]["item"]["content"] == []
    assert events[0]["response"]["status"] == "in_progress"


@pytest.mark.parametrize(
    ("message", "chunks"),
    [
        ({"content": "hi"}, [Chunk({"content": "hi"}), END]),
        ({"content": "hi"}, [Chunk({"content": "hi"}, "stop", USAGE)]),
        ({"content": ""}, [END]),
        ({"content": None, "refusal": "no"}, [Chunk({"refusal": "no"}), END]),
        ({"content": "a", "refusal": "b"}, [Chunk({"content": "a", "refusal": "b"}), END]),
        (
            {
                "content": "see",
                "tool_calls": [
                    {"id": "cf", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "cg", "function": {"name": "g", "arguments": "[]"}},
                ],
            },
            [
                Chunk({"content": "see"}),
                call(0, "f", ""),
                call(1, "g"),
                call(0, arguments="{}"),
                call(1, arguments="[]"),
                END,
            ],
        ),
    ],
)
def test_a_stream_adds_up_to_the_whole_response(message: Json, chunks: Sequence[Chunk]) -> None:
    plain, last = whole(message), streamed(*chunks)[-1]["response"]
    assert without_ids(last["output"]) == without_ids(plain["output"])
    assert {**last, "output": [], "created_at": 0} == {**plain, "output": [], "created_at": 0}
    assert plain["usage"] == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 9,
    }
    assert (plain["object"], plain["status"], plain["store"], plain["top_p"]) == (
        "response", "completed", False, 1,
    )  # fmt: skip


def test_a_call_after_a_text_ends_the_text_and_later_words_are_another_item() -> None:
    events = streamed(
        Chunk({"content": "a"}), call(0, "f"), call(0, arguments="{}"), Chunk({"content": "b"}), END
    )
    assert kinds(events) == [
        *BEGUN, *TEXT, *TEXT_DONE, *CALLED, *TEXT, *CALLED_DONE, *TEXT_DONE, "completed",
    ]  # fmt: skip
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "message"]
    assert (output[1]["call_id"], output[1]["name"], output[1]["arguments"]) == ("cf", "f", "{}")


def test_a_call_without_an_id_gets_one() -> None:
    function = {"name": "f", "arguments": "{}"}
    (item,) = whole({"content": None, "tool_calls": [{"function": function}]})["output"]
    assert item["call_id"].startswith("call_")


@pytest.mark.parametrize(
    ("reason", "details"),
    [("length", "max_output_tokens"), ("content_filter", "content_filter")],
)
def test_an_answer_that_was_cut_is_incomplete(reason: str, details: str) -> None:
    plain = whole({"content": "hi"}, reason)
    events = streamed(Chunk({"content": "hi"}), Chunk({}, reason, USAGE))
    assert kinds(events)[-1] == "incomplete"
    for response in (plain, events[-1]["response"]):
        assert (response["status"], response["incomplete_details"]) == (
            "incomplete", {"reason": details},
        )  # fmt: skip
        assert response["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize(
    ("code", "want"),
    [("provider_broke_off", "server_error"), ("rate_limit_exceeded", "rate_limit_exceeded")],
)
def test_a_response_that_fails_says_what_it_had_and_why(code: str, want: str) -> None:
    writer = Responses().writer("resp_1", "front", ASKED)
    writer.event(Chunk({"content": "one"}))
    failed, error = read(writer.failed(ApiError(502, "broke off", "server_error", code=code), 9))
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": want, "message": "broke off"}
    assert failed["response"]["output"][0]["content"][0]["text"] == "one"
    assert (error["type"], error["code"], error["message"]) == ("error", code, "broke off")
    assert error["error"]["code"] == code
    assert (failed["sequence_number"], error["sequence_number"]) == (5, 6)


def test_a_stream_of_another_pod_that_breaks_ends_with_the_next_number() -> None:
    (error,) = read(Responses().frame(ApiError(502, "gone", code="agent_unreachable"), 4))
    assert (error["code"], error["sequence_number"]) == ("agent_unreachable", 4)
