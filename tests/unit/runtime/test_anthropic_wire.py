"""A chat completion is asked for in the words of the messages API, and the answer comes back."""

from typing import Any

import pytest

from agent_runtime.providers import anthropic_wire as wire
from agent_runtime.providers.anthropic_wire import Untranslatable
from agent_runtime.providers.base import Json

HELLO: Json = {"role": "user", "content": "hello"}
SAID = {"role": "user", "content": [{"type": "text", "text": "hello"}]}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}


def asked(*messages: Json, **options: Any) -> Json:
    return wire.request("m", messages or (HELLO,), options)


def test_a_plain_request_has_a_bound() -> None:
    assert asked() == {"model": "m", "max_tokens": wire.MAX_TOKENS, "messages": [SAID]}


def test_instructions_are_the_system_wherever_they_stand() -> None:
    body = asked(
        {"role": "system", "content": "Be brief."},
        HELLO,
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
    )
    assert body["system"] == [
        {"type": "text", "text": "Be brief."},
        {"type": "text", "text": "Be kind."},
    ]
    assert body["messages"] == [SAID]


def test_turns_alternate_and_tool_results_belong_to_the_user() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    body = asked(
        HELLO,
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "user", "content": "thanks"},
    )
    assert body["messages"] == [
        {"role": "user", "content": [*SAID["content"], {"type": "text", "text": "again"}]},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "sunny"},
                {"type": "text", "text": "thanks"},
            ],
        },
    ]


def image(url: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def test_images_are_passed_through() -> None:
    parts = [image("https://x/y.png"), image("data:image/png;base64,AAAA")]
    (turn,) = asked({"role": "user", "content": parts})["messages"]
    assert turn["content"] == [
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
        },
    ]


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ({"max_tokens": 7}, {"max_tokens": 7}),
        ({"max_tokens": 7, "max_completion_tokens": 9}, {"max_tokens": 9}),
        ({"temperature": 0.1, "top_p": 0.5}, {"temperature": 0.1, "top_p": 0.5}),
        ({"stop": "x"}, {"stop_sequences": ["x"]}),
        ({"stop": ["x", "y"]}, {"stop_sequences": ["x", "y"]}),
        ({"user": "u1"}, {"metadata": {"user_id": "u1"}}),
        ({"seed": None, "logprobs": False, "presence_penalty": 0, "logit_bias": {}}, {}),
        ({"modalities": ["text"], "store": True, "prompt_cache_key": "k"}, {}),
        ({"temperature": None}, {}),
        ({"tool_choice": "auto"}, {}),
        ({"response_format": {"type": "text"}}, {}),
    ],
)
def test_options_have_their_counterparts(options: Json, want: Json) -> None:
    assert asked(**options) == {**asked(), **want}


@pytest.mark.parametrize(
    ("choice", "want"),
    [
        (None, {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
    ],
)
def test_tools_are_offered_as_asked(choice: Any, want: Json) -> None:
    body = asked(tools=[TOOL], tool_choice=choice)
    assert body["tools"] == [{"name": "weather", "input_schema": SCHEMA}]
    assert body["tool_choice"] == want


def test_tools_may_be_asked_for_one_by_one() -> None:
    body = asked(tools=[TOOL], parallel_tool_calls=False)
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


def test_json_is_demanded_in_words_and_a_schema_by_the_api() -> None:
    body = asked({"role": "system", "content": "Be brief."}, response_format=JSON_MODE)
    assert body["system"][0]["text"] == "Be brief."
    assert "JSON object" in body["system"][1]["text"]
    body = asked(response_format={"type": "json_schema", "json_schema": {"schema": SCHEMA}})
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}


JSON_MODE = {"type": "json_object"}


@pytest.mark.parametrize(
    ("message", "options", "param"),
    [
        ({"role": "user", "content": [{"type": "input_audio"}]}, {}, "messages"),
        ({"role": "user", "content": [image("data:,x")]}, {}, "messages"),
        ({"role": "system", "content": [image("https://x/y.png")]}, {}, "messages"),
        (HELLO, {"response_format": {"type": "grammar"}}, "response_format"),
        (HELLO, {"tools": [TOOL], "tool_choice": "perhaps"}, "tool_choice"),
        (HELLO, {"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools"),
        (HELLO, {"seed": 1}, "seed"),
        (HELLO, {"logprobs": True}, "logprobs"),
        (HELLO, {"presence_penalty": -1}, "presence_penalty"),
        (HELLO, {"modalities": ["text", "audio"]}, "modalities"),
        (HELLO, {"functions": [{"name": "f"}]}, "functions"),
    ],
)
def test_what_has_no_counterpart_is_named(message: Json, options: Json, param: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        asked(message, **options)
    assert caught.value.param == param


def test_a_tool_may_find_an_image() -> None:
    found = [{"type": "text", "text": "see"}, image("https://x/y.png")]
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    _, result = asked(
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": found},
    )["messages"]
    assert result["content"][0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
    ]


def test_text_and_tool_calls_make_one_message() -> None:
    blocks: list[Json] = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "Let me "},
        {"type": "text", "text": "see."},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
    ]
    assert wire.message(blocks) == {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
        ],
    }


@pytest.mark.parametrize(
    ("blocks", "content"),
    [([], ""), ([{"type": "tool_use", "id": "a", "name": "f", "input": {}}], None)],
)
def test_a_message_without_text_is_empty_or_a_call(blocks: list[Json], content: str | None) -> None:
    assert wire.message(blocks)["content"] == content


def test_usage_counts_the_cached_prompt_too_and_later_figures_win() -> None:
    begun = {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 1}
    ended = {"output_tokens": 25, "cache_creation_input_tokens": 5}
    assert wire.usage(begun, None, ended) == {
        "prompt_tokens": 105,
        "completion_tokens": 25,
        "total_tokens": 130,
        "prompt_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 5},
    }
    assert wire.usage(None, {}) is None


def test_an_input_count_that_only_the_end_tells_is_taken() -> None:
    """Some gateways say 0 at the beginning."""
    found = wire.usage(
        {"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 9, "output_tokens": 2}
    )
    assert found is not None
    assert found["total_tokens"] == 11


@pytest.mark.parametrize(
    ("reason", "want"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something new", "stop"),
    ],
)
def test_the_end_has_openai_s_reason(reason: str, want: str) -> None:
    assert wire.finish_reason(reason) == want
