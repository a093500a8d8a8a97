"""Vectors of an agent come from one model, whichever of its providers answers."""

import math
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from agent_runtime.agents.agent import Agent
from agent_runtime.app import embeddings
from agent_runtime.app.errors import ApiError, of
from agent_runtime.providers import embedding, script, tokens
from agent_runtime.providers.base import ErrorClass, ProviderError, Texts, Vectors
from agent_runtime.providers.breaker import Breaker, Guarded, State
from agent_runtime.providers.embedding import Place
from agent_runtime.providers.failures import CONDUCT
from agent_runtime.providers.route import Route
from agent_runtime.providers.scripted import ScriptedProvider
from tests.unit.runtime.test_route import Fake, Time

HELLO = Texts("front", ["hello"])


def chain(*places: tuple[str, str, bool]) -> list[Place]:
    return [Place(Fake(name), model, embeds) for name, model, embeds in places]


@pytest.mark.parametrize(
    ("places", "want"),
    [
        ([], []),
        ([("claude", "large", False)], []),
        ([("openai", "m", True), ("azure", "m", True)], ["openai", "azure"]),
        ([("openai", "m", True), ("other", "n", True), ("azure", "m", True)], ["openai", "azure"]),
        ([("claude", "m", False), ("openai", "m", True), ("canned", "", True)], ["openai"]),
        ([("canned", "", True), ("openai", "m", True)], ["canned"]),
    ],
)
def test_only_the_first_model_that_embeds_is_ever_asked(
    places: Sequence[tuple[str, str, bool]], want: list[str]
) -> None:
    found = embedding.embedders(chain(*places))
    assert [provider.name for provider in found if isinstance(provider, Fake)] == want


@pytest.mark.parametrize("error", sorted(c for c, conduct in CONDUCT.items() if conduct.fall_back))
async def test_the_same_model_elsewhere_takes_over(error: ErrorClass) -> None:
    failing, other, never = Fake("a", error), Fake("b"), Fake("c")
    route = Route([failing, never, other], Time().pace, embedders=[failing, other])
    assert await route.embed(HELLO) == Vectors(["b"], {})
    assert (failing.calls, never.calls) == (1, 0)


async def test_when_all_fail_it_is_tried_again_and_then_told() -> None:
    time, failing = Time(), Fake("a", ErrorClass.OVERLOADED)
    with pytest.raises(ProviderError, match="a failed"):
        await Route([failing], time.pace, embedders=[failing]).embed(HELLO)
    assert (failing.calls, time.pauses) == (3, [0.5, 1.0])


async def test_a_chain_without_embeddings_says_so_and_is_not_to_be_asked_again() -> None:
    with pytest.raises(ProviderError) as caught:
        await Route([Fake("claude")]).embed(HELLO)
    told = of(caught.value)
    assert (told.status, told.code, told.param) == (400, "embeddings_not_supported", "model")


async def test_an_api_without_embeddings_says_nothing_about_its_breaker() -> None:
    breaker = Breaker(clock=lambda: 10.0)
    fake = Fake("a", ErrorClass.SERVER_ERROR)
    guarded = Guarded("a", fake, breaker)
    for error in [ErrorClass.SERVER_ERROR] * 4 + [ErrorClass.UNSUPPORTED, ErrorClass.SERVER_ERROR]:
        fake.fails = error
        with pytest.raises(ProviderError):
            await guarded.embed(HELLO)
    assert breaker.state is State.OPEN


async def test_an_agent_embeds_without_its_instructions() -> None:
    scripted = ScriptedProvider("canned", script.parse("default: hi", path="answers"))
    agent = Agent("front", "be kind", Route([scripted], embedders=[scripted]))
    found = await agent.embed(["one two", [1, 2, 3]], {"dimensions": 4})
    assert found.usage == {"prompt_tokens": 5, "total_tokens": 5}
    assert [len(vector) for vector in found.vectors] == [4, 4]
    again = await agent.embed([[1, 2, 3], "one two"], {"dimensions": 4})
    assert again.vectors == found.vectors[::-1]


def test_a_vector_has_length_one_and_is_the_text_s_own() -> None:
    one, other = (embedding.vector(text, 64) for text in (b"one", b"other"))
    assert math.isclose(sum(number * number for number in one), 1.0, rel_tol=1e-5)
    assert abs(sum(a * b for a, b in zip(one, other, strict=True))) < 0.6


async def test_a_script_s_faults_and_latency_strike_embeddings_too() -> None:
    time = Time()
    rules = """
rules:
  - {match: crash, fault: {kind: status, status: 503}}
  - {match: reset, answer: a b, fault: {kind: reset}}
latency: {firstTokenSeconds: 2}
"""
    scripted = ScriptedProvider("canned", script.parse(rules, path="answers"), sleep=time.sleep)
    for text, want in (("crash", ErrorClass.OVERLOADED), ("reset", ErrorClass.CONNECT)):
        with pytest.raises(ProviderError) as caught:
            await scripted.embed(Texts("front", [text]))
        assert caught.value.error_class is want
    assert time.pauses == [2, 2]
    with pytest.raises(ProviderError, match="at most 8192 dimensions"):
        await scripted.embed(Texts("front", ["a"], {"dimensions": 9000}))


def test_ready_made_tokens_are_counted_as_they_are() -> None:
    assert tokens.of_inputs(["one two", [7, 7]])["total_tokens"] == 4


def parsed(**body: Any) -> embeddings.EmbeddingsRequest:
    return embeddings.parse(orjson.dumps(body))


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
        (["a", [1]], ["a", [1]]),
    ],
)
def test_an_input_is_one_text_or_many(given: Any, want: Any) -> None:
    asked = parsed(model="", input=given, dimensions=3, input_type="query")
    assert (asked.model, asked.inputs) == (None, want)
    assert asked.options == {"dimensions": 3, "input_type": "query"}


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "input", "missing_required_parameter"),
        ({"input": ""}, "input", "invalid_value"),
        ({"input": []}, "input", "invalid_value"),
        ({"input": ["a"] * 2049}, "input", "invalid_value"),
        ({"input": 7}, "input", "invalid_type"),
        ({"input": ["a", 7]}, "input[1]", "invalid_type"),
        ({"input": ["a", ""]}, "input[1]", "invalid_value"),
        ({"input": ["a", []]}, "input[1]", "invalid_value"),
        ({"input": [[1], [True]]}, "input[1]", "invalid_type"),
        ({"input": "a", "dimensions": 0}, "dimensions", "invalid_value"),
        ({"input": "a", "dimensions": True}, "dimensions", "invalid_type"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format", "invalid_value"),
        ({"input": "a", "model": 7}, "model", "invalid_type"),
    ],
)
def test_what_is_wrong_is_named(body: Any, param: str, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        parsed(**body)
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, param, code)
