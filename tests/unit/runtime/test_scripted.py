"""The scripted provider: deterministic answers, recall, latency, faults, tokens."""

from typing import Any

import pytest

from agent_runtime.providers import script
from agent_runtime.providers.base import Chunk, ErrorClass, Prompt, ProviderError
from agent_runtime.providers.scripted import ScriptedProvider
from tests.unit.runtime.streams import until

SCRIPT = """
default: "I am {agent}; you said {message}."
latency: {firstTokenSeconds: 0.5, perTokenSeconds: 0.1}
rules:
  - {match: 'my name is (?P<name>\\w+)', answer: "Hello, {name}."}
  - match: what is my name
    recall: 'my name is (?P<name>\\w+)'
    answer: "You are {name}."
    otherwise: "I do not know, in turn {turn}."
  - {match: long, answer: one two three four, tokens: {prompt: 7, completion: 9}}
  - {match: break, answer: one two three, fault: {kind: reset, afterTokens: 2}}
  - match: every second
    answer: fine
    fault: {kind: status, status: 429, every: 2, retryAfterSeconds: 3}
  - {match: refused, fault: {kind: status, status: 400}}
  - {match: down, fault: {kind: connect}}
  - {match: hang, fault: {kind: timeout}}
"""


class Clock:
    """Counts seconds instead of sleeping them."""

    def __init__(self) -> None:
        self.slept = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds


def provider(clock: Clock | None = None, text: str = SCRIPT) -> ScriptedProvider:
    parsed = script.parse(text, path="answers")
    return ScriptedProvider("canned", parsed, sleep=(clock or Clock()).sleep)


def prompt(*said: str, **options: Any) -> Prompt:
    messages = [{"role": "user", "content": text} for text in said]
    return Prompt(agent="front", messages=messages, options=options)


async def text(*said: str) -> str:
    answer = await provider().complete(prompt(*said))
    return str(answer.message["content"])


async def test_without_a_matching_rule_the_default_answers() -> None:
    assert await text("good day") == "I am front; you said good day."


async def test_what_a_pattern_captures_appears_in_the_answer() -> None:
    assert await text("my name is Ann") == "Hello, Ann."


async def test_recall_finds_what_was_said_earlier_newest_first() -> None:
    said = ("my name is Ann", "my name is Bob", "what is my name")
    assert await text(*said) == "You are Bob."


async def test_recall_without_a_memory_says_otherwise() -> None:
    assert await text("good day", "what is my name") == "I do not know, in turn 2."


async def test_values_are_not_expanded_twice() -> None:
    assert await text("{turn}") == "I am front; you said {turn}."


async def test_content_parts_are_matched_too() -> None:
    parts = [{"type": "text", "text": "my name is Ann"}, {"type": "image_url", "image_url": {}}]
    answer = await provider().complete(Prompt("front", [{"role": "user", "content": parts}]))
    assert answer.message["content"] == "Hello, Ann."


async def test_a_conversation_without_a_user_message_gets_the_default() -> None:
    answer = await provider().complete(Prompt("front", [{"role": "system", "content": "x"}]))
    assert answer.message["content"] == "I am front; you said ."


async def test_only_the_beginning_of_a_long_message_is_matched() -> None:
    assert (await text("x" * 300 + "my name is Ann")).startswith("I am front")


async def test_latency_is_first_token_plus_tokens() -> None:
    clock = Clock()
    await provider(clock).complete(prompt("long"))
    assert clock.slept == pytest.approx(0.5 + 4 * 0.1)


async def test_a_stream_takes_as_long_and_joins_to_the_whole_answer() -> None:
    clock = Clock()
    chunks = [chunk async for chunk in provider(clock).stream(prompt("long"))]
    assert [c.delta.get("content") for c in chunks] == ["one", " two", " three", " four", None]
    assert chunks[-1] == Chunk({}, "stop", {
        "prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16,
    })  # fmt: skip
    assert clock.slept == pytest.approx(0.5 + 4 * 0.1)


async def test_tokens_are_counted_unless_stated() -> None:
    answer = await provider().complete(prompt("my name is Ann", "my name is Ann"))
    assert answer.usage == {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_an_answer_is_cut_at_the_client_s_limit(name: str) -> None:
    answer = await provider().complete(prompt("long", **{name: 2}))
    assert (answer.message["content"], answer.finish_reason) == ("one two", "length")


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ("refused", ErrorClass.REFUSED),
        ("down", ErrorClass.CONNECT),
        ("hang", ErrorClass.TIMEOUT),
        ("break", ErrorClass.CONNECT),  # nobody has seen a part of a whole answer
    ],
)
async def test_a_rule_can_fail(said: str, want: ErrorClass) -> None:
    with pytest.raises(ProviderError) as caught:
        await provider().complete(prompt(said))
    assert caught.value.error_class is want


async def test_a_reset_comes_after_the_stated_number_of_tokens() -> None:
    seen, failure = await until(ProviderError, provider().stream(prompt("break")))
    assert [chunk.delta["content"] for chunk in seen] == ["one", " two"]
    assert failure.error_class is ErrorClass.BROKEN


async def test_a_rule_s_fault_strikes_every_nth_request_of_that_rule() -> None:
    canned, outcomes = provider(), []
    for said in ("every second", "hello", "every second", "hello", "every second", "every second"):
        try:
            await canned.complete(prompt(said))
            outcomes.append("ok")
        except ProviderError as exc:
            outcomes.append(f"{exc.error_class} {exc.retry_after_s}")
    assert outcomes == ["ok", "ok", "rate_limited 3", "ok", "ok", "rate_limited 3"]


async def test_a_script_s_faults_count_all_requests_and_the_first_one_due_wins() -> None:
    faults = "faults: [{kind: connect, every: 4}, {kind: status, status: 500, every: 2}]"
    canned, outcomes = provider(text=faults), []
    for _ in range(4):
        try:
            await canned.complete(prompt("x"))
            outcomes.append("ok")
        except ProviderError as exc:
            outcomes.append(str(exc.error_class))
    assert outcomes == ["ok", "server_error", "ok", "connect"]
