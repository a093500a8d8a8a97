"""What a low budget takes away, level by level."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent_runtime.cost.budget import State
from agent_runtime.cost.economy import Economical
from agent_runtime.cost.levels import DEEPEST, Level, may_be_stale
from agent_runtime.providers.base import Json, Prompt
from agent_runtime.providers.receipt import Receipt
from tests.unit.runtime.metered import ASKED, Model

SYSTEM: Json = {"role": "system", "content": "be kind"}
OLD: Json = {"role": "user", "content": "long ago " * 2_000}
ANSWERED: Json = {"role": "assistant", "content": "yes"}
LONG = [SYSTEM, OLD, ANSWERED, ASKED]


def asked(*messages: Json) -> Prompt:
    return Prompt("front", messages or (ASKED,), {}, receipt=Receipt())


async def answered(state: State, question: Prompt, *, cheaper: bool = True) -> tuple[str, Prompt]:
    """Return which route was asked, and for what."""
    own, cheap = Model(), Model()
    route = Economical(own, cheap if cheaper else None, lambda: state)
    await route.complete(question)
    chunks = [chunk async for chunk in route.stream(question)]
    assert chunks[-1].finish_reason == "stop"
    name, model = ("cheap", cheap) if cheap.asked else ("own", own)
    assert len(model.asked) == 2
    return name, model.asked[0]


@pytest.mark.parametrize("state", [State.AVAILABLE, State.WARNING])
async def test_until_it_is_degraded_an_answer_is_a_full_one(state: State) -> None:
    question = asked(*LONG)
    assert await answered(state, question) == ("own", question)
    assert (question.receipt.degraded, question.receipt.may_share) == (None, True)


async def test_a_degraded_answer_comes_from_the_cheaper_route_and_a_shorter_conversation() -> None:
    question = asked(*LONG)
    route, told = await answered(State.DEGRADED, question)
    assert (route, told) == ("cheap", replace(question, messages=[SYSTEM, ASKED]))
    assert (question.receipt.degraded, question.receipt.may_share) == ("cheaper-model", False)


async def test_without_a_cheaper_route_only_the_conversation_is_shorter() -> None:
    question = asked(*LONG)
    assert await answered(State.DEGRADED, question, cheaper=False) == (
        "own",
        replace(question, messages=[SYSTEM, ASKED]),
    )
    assert question.receipt.degraded == "reduced-context"


async def test_a_short_conversation_at_its_own_route_lacks_nothing() -> None:
    question = asked()
    await answered(State.DEGRADED, question, cheaper=False)
    assert (question.receipt.degraded, question.receipt.may_share) == (None, True)


async def test_an_exhausted_budget_leaves_the_agents_own_chain_for_what_costs_nothing() -> None:
    question = asked()
    assert await answered(State.EXHAUSTED, question) == ("own", question)
    assert question.receipt.degraded == "static-answer"


async def test_results_of_tools_are_not_parted_from_their_calls() -> None:
    call: Json = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    result: Json = {"role": "tool", "tool_call_id": "1", "content": "x " * 9_000}
    _, told = await answered(State.DEGRADED, asked(OLD, ASKED, call, result))
    assert told.messages == [ASKED, call, result]


def test_the_levels_are_in_the_order_in_which_they_are_given_up() -> None:
    assert [level.label for level in Level] == [
        "full", "reduced-context", "cheaper-model", "cached-answer", "static-answer",
    ]  # fmt: skip
    known = [state for state in State if state is not State.UNKNOWN]
    assert sorted(known, key=DEEPEST.__getitem__) == known == list(DEEPEST)
    assert [may_be_stale(state) for state in known] == [False, False, True, True]
