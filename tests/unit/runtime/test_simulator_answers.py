"""What the simulator answers: scripts, tools, JSON, limits, vectors."""

import json
import math
from typing import Any

import pytest

from agent_runtime.providers import embedding, script
from agent_runtime.simulator import author, openai_wire
from agent_runtime.simulator.author import Author
from agent_runtime.simulator.exchange import Answer, Finish, Refused, Usage
from agent_runtime.simulator.prompt_cache import Use
from agent_runtime.simulator.simulation import ANTHROPIC, OPENAI

SCRIPT = """
default: "You said {message}."
rules:
  - {match: 'weather in (?P<city>\\w+)', answer: 'tool_call weather {"city": "{city}"}'}
  - {match: 'as json', answer: '{"a": 1}'}
  - {match: 'stated', answer: fine, tokens: {prompt: 900, completion: 40}}
  - {match: 'crash', answer: x, fault: {kind: status, status: 500, retryAfterSeconds: 3}}
  - {match: 'refuse', answer: x, fault: {kind: connect}}
  - {match: 'sleep', answer: x, fault: {kind: timeout}}
  - {match: 'break', answer: x, fault: {kind: reset, afterTokens: 2}}
"""
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "unit": {"enum": ["C", "F"]},
        "exact": {"type": ["boolean", "null"]},
        "tags": {"type": "array", "items": {"type": "number"}},
        "any": {"anyOf": [{"const": 7}]},
    },
}
EXAMPLE = {"city": "text", "days": 1, "unit": "C", "exact": True, "tags": [1.5], "any": 7}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
OTHER = {"type": "function", "function": {"name": "clock"}}


def written(text: str, **more: Any) -> author.Written:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    parsed = script.parse(SCRIPT, path="answers")
    return Author(parsed).write(OPENAI.asked(body), Use(0, 0, 5), "id1")


def answer(text: str, **more: Any) -> Answer:
    return written(text, **more).answer


def test_an_answer_is_its_scripts_text_in_tokens() -> None:
    found = answer("hello")
    want = Answer("id1", "m", ["You", " said", " hello."], None, Finish.STOP, Usage(5, 3))
    assert found == want


def test_max_tokens_cuts_the_answer_and_its_bill() -> None:
    found = answer("hello", max_tokens=2)
    assert (found.pieces, found.finish, found.usage.output) == (["You", " said"], Finish.LENGTH, 2)


def test_a_script_may_state_the_tokens() -> None:
    assert answer("stated").usage == Usage(900, 40)


def test_a_script_calls_a_tool_that_is_offered() -> None:
    found = answer("weather in Paris", tools=[OTHER, TOOL])
    assert (found.tool, found.finish) == ("weather", Finish.TOOL)
    assert json.loads("".join(found.pieces)) == {"city": "Paris"}


@pytest.mark.parametrize("more", [{}, {"tools": [OTHER]}, {"tools": [TOOL], "tool_choice": "none"}])
def test_a_tool_that_is_not_offered_is_not_called(more: dict[str, Any]) -> None:
    assert answer("weather in Paris", **more).tool is None


@pytest.mark.parametrize(
    ("choice", "tool", "arguments"),
    [
        ("required", "weather", EXAMPLE),
        ({"type": "function", "function": {"name": "clock"}}, "clock", {}),
    ],
)
def test_a_required_tool_is_called_with_what_its_schema_wants(
    choice: Any, tool: str, arguments: Any
) -> None:
    found = answer("hello", tools=[TOOL, OTHER], tool_choice=choice)
    assert (found.tool, json.loads("".join(found.pieces))) == (tool, arguments)


def test_json_mode_answers_an_object() -> None:
    mode = {"response_format": {"type": "json_object"}}
    assert json.loads("".join(answer("hello", **mode).pieces)) == {"answer": "You said hello."}
    assert json.loads("".join(answer("as json", **mode).pieces)) == {"a": 1}


def test_a_json_schema_is_obeyed() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    assert json.loads("".join(answer("hello", response_format=wanted).pieces)) == EXAMPLE


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("crash", {"kind": "status", "status": 500, "retry_after_seconds": 3}),
        ("refuse", {"kind": "reset"}),
        ("sleep", {"kind": "hang"}),
        ("break", {"kind": "reset", "after_chunks": 2}),
    ],
)
def test_a_scripts_fault_is_one_of_the_simulators(text: str, fault: dict[str, Any]) -> None:
    found = written(text).fault
    assert found is not None
    assert found.model_dump(exclude_unset=True) == fault


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"messages": [{}]}, "model: Field required"),
        ({"model": "m"}, "messages: Field required"),
        ({"model": "m", "messages": []}, "messages: must not be empty"),
        ({"model": "m", "messages": ["x"]}, "messages: must hold objects"),
        ({"model": 1, "messages": [{}]}, "model: must be of type string"),
        ({"model": "m", "messages": [{}], "max_tokens": True}, "max_tokens: must be of type int"),
        ({"model": "m", "messages": [{}], "tools": [{}]}, "tools[0].function.name: Field"),
        ({"model": "m", "messages": [{}], "tools": [TOOL],
          "tool_choice": {"function": {"name": "x"}}}, "tool_choice: names a tool"),
    ],
)  # fmt: skip
def test_a_wrong_chat_request_names_its_field(body: Any, told: str) -> None:
    with pytest.raises(Refused) as caught:
        OPENAI.asked(body)
    assert caught.value.message.startswith(told)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": 0}, "max_tokens: must be 1 or more"),
        ({"tools": [{"input_schema": {}}]}, "tools.0.name: Field required"),
        ({"tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name: names a tool"),
    ],
)
def test_a_wrong_messages_request_names_its_field(more: dict[str, Any], told: str) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    with pytest.raises(Refused) as caught:
        ANTHROPIC.asked(body | more)
    assert caught.value.message.startswith(told)


def test_equal_texts_have_equal_vectors_of_length_one_and_others_are_far() -> None:
    one, same, other = (embedding.vector(t, 64) for t in (b"one", b"one", b"other"))
    assert one == same
    assert math.sqrt(sum(x * x for x in one)) == pytest.approx(1.0, abs=1e-5)
    assert abs(sum(x * y for x, y in zip(one, other, strict=True))) < 0.5


@pytest.mark.parametrize(
    ("given", "tokens"),
    [("hello world", [2]), (["a", "b c"], [1, 2]), ([1, 2, 3], [3]), ([[1, 2], [3]], [2, 1])],
)
def test_embeddings_take_texts_and_tokens(given: Any, tokens: list[int]) -> None:
    _, counted, body = openai_wire.embeddings({"model": "e", "input": given, "dimensions": 4})
    data = json.loads(body)["data"]
    assert counted == sum(tokens)
    assert [len(each["embedding"]) for each in data] == [4] * len(tokens)
    assert [each["index"] for each in data] == list(range(len(tokens)))


@pytest.mark.parametrize(
    "body", [{}, {"input": ""}, {"input": []}, {"input": [1.5]}, {"input": "x", "dimensions": 0}]
)
def test_wrong_embeddings_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        openai_wire.embeddings({"model": "e", **body})


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.12, "120ms"), (0.0, "0ms"), (1.0, "1s"), (59.2, "1m0s"), (361, "6m1s")]
)
def test_durations_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert openai_wire.duration(seconds) == text
