"""A request of the responses API is the chat that it means, or is refused by name."""

from typing import Any

import orjson
import pytest

from agent_runtime.app import responses_request
from agent_runtime.app.chat_request import ChatRequest
from agent_runtime.app.errors import ApiError

TOOL = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "id": "fc_1"}


def parsed(given: Any = "hello", **body: Any) -> ChatRequest:
    return responses_request.parse(orjson.dumps({"input": given} | body))


def test_a_text_is_the_user_s() -> None:
    found = parsed(model="front", instructions="be kind", stream=True)
    assert found.messages == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hello"},
    ]
    assert (found.model, found.stream, found.options) == ("front", True, {})
    assert found.repeated == {"instructions": "be kind", "metadata": {}}


def test_items_are_messages_calls_and_results() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"}
    found = parsed(
        [
            {"role": "developer", "content": "short"},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "see"},
                    image,
                    {"type": "input_file", "filename": "a.pdf", "file_data": "AA"},
                    {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
                ],
            },
            {
                "role": "assistant",
                "id": "msg_1",
                "status": "completed",
                "content": [{"type": "output_text", "text": "I look", "annotations": []}],
            },
            CALL,
            {**CALL, "call_id": "c2"},
            {"type": "function_call_output", "call_id": "c1", "output": "7"},
            {
                "type": "function_call_output",
                "call_id": "c2",
                "output": [
                    {"type": "input_text", "text": "a"},
                    {"type": "input_text", "text": "b"},
                ],
            },
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            CALL,
        ]
    )
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    a, b = ({"type": "text", "text": text} for text in "ab")
    assert found.messages == [
        {"role": "developer", "content": "short"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see"},
                {
                    "type": "image_url",
                    "image_url": {"url": "data:image/png;base64,AA", "detail": "low"},
                },
                {"type": "file", "file": {"file_data": "AA", "filename": "a.pdf"}},
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            ],
        },
        {"role": "assistant", "content": "I look", "tool_calls": [call, {**call, "id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "7"},
        {"role": "tool", "tool_call_id": "c2", "content": [a, b]},
        {
            "role": "assistant",
            "content": [{"type": "refusal", "refusal": "no"}],
            "tool_calls": [call],
        },
    ]


def test_a_call_without_words_before_it_is_a_message_of_its_own() -> None:
    found = parsed([CALL])
    assert found.messages[0]["content"] is None
    assert found.messages[0]["tool_calls"][0]["id"] == "c1"


def test_parameters_have_their_counterparts() -> None:
    schema = {"name": "s", "schema": {"type": "object"}, "strict": True}
    found = parsed(
        temperature=0.1,
        top_p=0.2,
        max_output_tokens=5,
        parallel_tool_calls=False,
        user="u",
        tools=[TOOL],
        tool_choice={"type": "function", "name": "f"},
        text={"format": {"type": "json_schema", **schema}, "verbosity": "low"},
        reasoning={"effort": "low", "summary": None},
        metadata={"team": "a"},
        store=False,
        truncation="disabled",
        include=[],
        previous_response_id=None,
    )
    function = {key: value for key, value in TOOL.items() if key != "type"}
    assert found.options == {
        "temperature": 0.1,
        "top_p": 0.2,
        "max_completion_tokens": 5,
        "parallel_tool_calls": False,
        "user": "u",
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": schema},
        "verbosity": "low",
        "reasoning_effort": "low",
    }
    assert found.repeated["tools"] == [TOOL]
    assert found.repeated["metadata"] == {"team": "a"}


@pytest.mark.parametrize(
    ("form", "want"),
    [
        ({"type": "text"}, {}),
        ({"type": "json_object"}, {"response_format": {"type": "json_object"}}),
    ],
)
def test_the_other_forms_of_text(form: Any, want: Any) -> None:
    assert parsed(text={"format": form}).options == want


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"input": None}, "input", "missing_required_parameter"),
        ({"input": []}, "input", "empty_array"),
        ({"input": 7}, "input", "invalid_type"),
        ({"input": [7]}, "input[0]", "invalid_type"),
        ({"input": [{"type": "reasoning"}]}, "input[0].type", "unsupported_parameter"),
        ({"input": [{"type": {}}]}, "input[0].type", "unsupported_parameter"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role", "invalid_value"),
        ({"input": [{"role": {}, "content": "x"}]}, "input[0].role", "invalid_value"),
        ({"input": [{"role": "user"}]}, "input[0].content", "missing_required_parameter"),
        ({"input": [{"role": "user", "content": 7}]}, "input[0].content", "invalid_type"),
        ({"input": [{"role": "user", "content": [7]}]}, "input[0].content[0]", "invalid_type"),
        (
            {"input": [{"role": "user", "content": [{"type": "video"}]}]},
            "input[0].content[0].type",
            "unsupported_parameter",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].image_url",
            "missing_required_parameter",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "x"}]}]},
            "input[0].content[0].file_data",
            "missing_required_parameter",
        ),
        (
            {"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]},
            "input[0].call_id",
            "missing_required_parameter",
        ),
        (
            {"input": [{"type": "function_call_output", "call_id": "c"}]},
            "input[0].output",
            "missing_required_parameter",
        ),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "unsupported_parameter"),
        ({"conversation": "conv_1"}, "conversation", "unsupported_parameter"),
        ({"store": True}, "store", "unsupported_parameter"),
        ({"background": True}, "background", "unsupported_parameter"),
        ({"truncation": "auto"}, "truncation", "unsupported_parameter"),
        ({"include": ["reasoning.encrypted_content"]}, "include", "unsupported_parameter"),
        ({"prompt": {"id": "p"}}, "prompt", "unsupported_parameter"),
        ({"max_tool_calls": 1}, "max_tool_calls", "unsupported_parameter"),
        ({"top_logprobs": 3}, "top_logprobs", "unsupported_parameter"),
        ({"reasoning": {"summary": "auto"}}, "reasoning.summary", "unsupported_parameter"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "unsupported_parameter"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
        ({"tools": [7]}, "tools[0]", "invalid_type"),
        ({"tools": [TOOL], "tool_choice": {"type": "x"}}, "tool_choice", "unsupported_parameter"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format", "unsupported_parameter"),
        ({"metadata": {"a": 7}}, "metadata", "invalid_value"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata", "invalid_value"),
        ({"instructions": 7}, "instructions", "invalid_type"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"messages": []}, "messages", "unknown_parameter"),
    ],
)
def test_what_a_chat_cannot_do_is_refused_by_name(body: Any, param: str, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        parsed(**body)
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, param, code)
