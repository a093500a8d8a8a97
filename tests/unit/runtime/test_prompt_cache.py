"""Where prompts are marked for the provider's cache, and that it is left when it does not pay."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.providers import anthropic_wire, prompt_cache
from agent_runtime.providers.base import Json
from agent_runtime.providers.prompt_cache import LOSS_TOKENS, PAUSE_S, Payback

LONG = "a word " * 2_000  # some 3,500 tokens
TOOL = {"type": "function", "function": {"name": "look", "description": LONG}}
EPHEMERAL = {"type": "ephemeral"}


def said(role: str, text: str = "hello") -> Json:
    return {"role": role, "content": text}


def asked(*messages: Json, **options: Any) -> Json:
    return anthropic_wire.request("m", messages, options)


def marks(body: Json, least: int = 1024) -> list[str]:
    """Return the places of all marks, in the order of a prompt."""
    prompt_cache.mark(body, least)
    places = [
        *((f"tools {n}", block) for n, block in enumerate(body.get("tools", ()))),
        *((f"system {n}", block) for n, block in enumerate(body.get("system", ()))),
        *(
            (f"{turn['role']} {n}.{m}", block)
            for n, turn in enumerate(body["messages"])
            for m, block in enumerate(turn["content"])
        ),
    ]
    found = [(place, block["cache_control"]) for place, block in places if "cache_control" in block]
    assert all(mark == EPHEMERAL for _, mark in found)
    return [place for place, _ in found]


@pytest.mark.parametrize(
    ("body", "want"),
    [
        pytest.param(asked(said("system", LONG), said("user")), ["system 0"], id="instructions"),
        pytest.param(
            asked(said("system", LONG), said("system", "at 9:01"), said("user")),
            ["system 0", "system 1"],
            id="a caller's own system message comes after what all share",
        ),
        pytest.param(asked(said("user"), tools=[TOOL, TOOL]), ["tools 1"], id="tools alone"),
        pytest.param(
            asked(said("system"), said("user"), tools=[TOOL]), ["system 0"], id="tools come first"
        ),
        pytest.param(asked(said("user", LONG)), [], id="a question that may be the only one"),
        pytest.param(
            asked(said("user", LONG), said("assistant"), said("user")),
            ["user 0.0", "user 2.0"],
            id="a conversation that goes on",
        ),
        pytest.param(
            asked(
                said("system", LONG), said("user"), said("assistant"), said("user"),
                said("assistant"), said("user"), said("user"),
            ),
            ["system 0", "user 2.0", "user 4.1"],
            id="its last two questions",
        ),
        pytest.param(
            asked(said("system"), said("user"), said("assistant"), said("user")), [], id="too short"
        ),
        pytest.param(
            asked(said("system"), said("user"), said("assistant", LONG), said("user")),
            ["user 2.0"],
            id="long enough in the end",
        ),
    ],
)  # fmt: skip
def test_marks_are_where_a_prompt_will_be_sent_again(body: Json, want: list[str]) -> None:
    assert marks(body) == want


@pytest.mark.parametrize(
    ("model", "least"),
    [
        ("claude-haiku-4-5-20251001", 4096),
        ("claude-opus-4-6", 4096),
        ("claude-opus-4-8", 1024),
        ("claude-opus-4-1", 1024),
        ("claude-sonnet-4-5", 1024),
        ("claude-3-5-haiku-latest", 2048),
        ("claude-3-7-sonnet-latest", 1024),
        ("claude-opus-5", 512),
        ("somebody-elses", 512),
    ],
)
def test_each_model_has_its_shortest_prompt(model: str, least: int) -> None:
    assert prompt_cache.least_tokens(model) == least


def test_a_prompt_that_is_too_short_for_the_model_has_no_mark() -> None:
    """Some 3,500 tokens by our count; code has up to half as many again."""
    assert marks(asked(said("system", LONG), said("user")), 4096) == ["system 0"]
    assert marks(asked(said("system", LONG[: len(LONG) // 2]), said("user")), 4096) == []


_messages = st.lists(
    st.builds(said, st.sampled_from(["system", "user", "assistant"]), st.sampled_from(["a", LONG])),
    min_size=1,
    max_size=12,
)


@given(_messages, st.integers(0, 2))
def test_marks_are_four_at_most_and_change_nothing_else(messages: list[Json], tools: int) -> None:
    plain = asked(*messages, tools=[TOOL] * tools)
    marked = copy.deepcopy(plain)
    assert len(marks(marked)) <= 4
    for block in prompt_cache._blocks(marked):
        block.pop("cache_control", None)
    assert marked == plain


class Clock:
    """Time that a test moves."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def usage(*, read: int = 0, written: int = 0) -> Json:
    return {"prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written}}


def test_what_is_read_pays_for_what_is_written() -> None:
    payback = Payback(Clock())
    for _ in range(1_000):
        payback.saw(usage(written=50_000))
        payback.saw(usage(read=50_000))
    assert payback.pays


def test_what_is_written_in_vain_is_bounded_and_tried_again_later_with_half_the_credit() -> None:
    clock = Clock()
    payback = Payback(clock)
    written = 0
    while payback.pays:
        payback.saw(usage(written=10_000))
        written += 10_000
    assert written == LOSS_TOKENS / 0.25 + 10_000
    clock.now += PAUSE_S - 0.001
    assert not payback.pays
    clock.now += 0.001
    assert payback.pays
    for _ in range(5):
        payback.saw(usage(written=10_000))
        assert payback.pays
    payback.saw(usage(written=10_000))
    assert not payback.pays


def test_good_times_are_no_licence_for_ever() -> None:
    payback = Payback(Clock())
    payback.saw(usage(read=100_000_000))
    payback.saw(usage(written=int(2 * LOSS_TOKENS / 0.25) + 4))
    assert not payback.pays


@pytest.mark.parametrize("told", [None, {}, {"prompt_tokens_details": None}, usage()])
def test_an_answer_without_such_figures_says_nothing(told: Json | None) -> None:
    payback = Payback(Clock())
    payback.saw(told)
    assert payback.pays
