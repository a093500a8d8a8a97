"""The answer cache never gives anybody the answer to another question, whatever is asked."""

from __future__ import annotations

import asyncio

import orjson
from hypothesis import assume, given
from hypothesis import strategies as st

from agent_runtime.cache import key as keys
from agent_runtime.cache import shared
from agent_runtime.cache.kept import Kept, Shelf
from agent_runtime.providers.base import Json, Prompt
from tests.unit.runtime.remembered import Clock, Model, Pod, Pool, prompt

# few values, so that equal questions are asked again and again; and such as might be confused
words = st.sampled_from(["", "a", "b", "ab", '"', "a,b", "日", "<EMAIL_1>", "true", "null"])
roles = st.sampled_from(["user", "assistant", "system"])
messages = st.lists(
    st.fixed_dictionaries({"role": roles, "content": words}), min_size=1, max_size=3
)
schemas = st.permutations(["a", "b"]).map(
    lambda names: {name: {"type": "string"} for name in names}
)
options = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0, 0.0, 1, None, True, "1"]),
        "max_tokens": st.integers(1, 3),
        "user": words,
        "response_format": schemas,
        "seed": st.sampled_from([1, 1.0, 2]),
    },
)
questions = st.fixed_dictionaries(
    {
        "messages": messages,
        "options": options,
        "tenant": words,
        "agent": st.sampled_from(["front", "back"]),
        "revision": st.sampled_from(["r1", "r2"]),
        "stream": st.booleans(),
    }
)


def text_of(question: Json) -> str:
    """Return all that matters of a question; whether it is streamed does not."""
    parts = ("messages", "options", "tenant", "agent", "revision")
    return orjson.dumps([question[part] for part in parts]).decode()


def prompt_of(question: Json) -> Prompt:
    return prompt(
        messages=question["messages"],
        tenant=question["tenant"],
        agent=question["agent"],
        **question["options"],
    )


class Echo(Model):
    """Answers with the question."""

    def __init__(self, revision: str) -> None:
        super().__init__()
        self._revision = revision

    async def _text(self, asked: Prompt) -> str:
        await super()._text(asked)
        return self._said(asked)

    def _said(self, asked: Prompt) -> str:
        question = {
            "messages": asked.messages,
            "options": asked.options,
            "tenant": asked.principal.tenant,
            "agent": asked.agent,
            "revision": self._revision,
        }
        return text_of(question)


@given(questions, questions)
def test_two_questions_that_differ_in_anything_have_two_keys(one: Json, other: Json) -> None:
    assume(text_of(one) != text_of(other))
    found = {keys.of(prompt_of(question), question["revision"]) for question in (one, other)}
    assert len(found) == 2
    assert None not in found


@given(questions)
def test_the_same_question_has_the_same_key_and_hints_for_the_provider_no_part_in_it(
    question: Json,
) -> None:
    hinted = {**question["options"], "prompt_cache_key": "k", "safety_identifier": "s"}
    asked = [prompt_of(question), prompt_of(question), prompt_of({**question, "options": hinted})]
    assert len({keys.of(each, question["revision"]) for each in asked}) == 1


@given(st.lists(questions, max_size=30))
def test_everybody_gets_the_answer_to_their_own_question(asked: list[Json]) -> None:
    """Over pods of two revisions that share, whole and streamed, in any order."""

    async def run() -> None:
        pool, clock = Pool(), Clock()
        pods = {
            (revision, number): Pod(Echo(revision), shared=pool, clock=clock, revision=revision)
            for revision in ("r1", "r2")
            for number in range(2)
        }
        for count, question in enumerate(asked):
            pod = pods[question["revision"], count % 2]
            mine = prompt_of(question)
            if question["stream"]:
                chunks = [chunk async for chunk in pod.cached.stream(mine)]
                said = "".join(chunk.delta.get("content", "") for chunk in chunks)
            else:
                said = (await pod.cached.complete(mine)).message["content"]
            assert said == text_of(question)
        different = {text_of(question) for question in asked}
        assert sum(pod.model.asked for pod in pods.values()) == len(different)

    asyncio.run(run())


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 900)), max_size=60),
    st.integers(1, 8),
    st.integers(0, 3000),
)
def test_a_shelf_is_within_its_bounds_after_every_step(
    steps: list[tuple[int, int]], most: int, room: int
) -> None:
    shelf = Shelf(max_entries=most, max_bytes=room)
    for number, length in steps:
        shelf.put(bytes([number]), Kept(0.0, b"x" * length))
        assert len(shelf) <= most
        assert shelf.bytes <= room
        held = [shelf.get(bytes([key])) for key in range(10)]
        assert shelf.bytes == sum(kept.size for kept in held if kept)


@given(st.binary(max_size=80))
def test_no_value_of_a_shared_store_breaks_anything(value: bytes) -> None:
    assert shared.unpacked(b"k" * 32, value) is None
