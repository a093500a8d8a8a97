"""Redaction: it can be undone, and it never depends on where a text was cut."""

import itertools
import random
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent_runtime.guard.pii.conversation import Conversation, Scanner, Side
from agent_runtime.guard.pii.placeholders import Placeholders
from agent_runtime.guard.pii.streams import Redaction, Restoration
from tests.pii import corpus
from tests.pii.rules import SECRET, detector, found

PATTERNS = {
    "employee": r"EMP-\d{4,6}",
    "code": "[A-Z]{2}[0-9]{2,3}_?[a-f]{0,3}",
    "tag": "<x\\d>",
    "like-a-mark": "EMAIL_[0-9]",
    "works-id": "\u5de5\u53f7[\uff1a ]{0,2}[0-9]{4}",
}
DETECTOR = detector(patterns=PATTERNS)

_ALPHABET = "0189 -.@:+()<>_aAeEfXx,\n\uff11\uff20\u7535\u8bdd\uff0c"
_VALUES = st.builds(
    lambda kind, seed: corpus.VALUES[kind](random.Random(seed)),  # noqa: S311  # made-up values
    st.sampled_from(sorted(corpus.VALUES)),
    st.integers(0, 10_000),
)
_PIECES = st.one_of(
    st.text(_ALPHABET, max_size=12),
    _VALUES,
    st.sampled_from(
        ["EMP-12345", "AB123_abc", "<x1>", "<EMAIL_1>", "<PHONE_2_abc234>", "version "]
    ),
    st.sampled_from(["\u5de5\u53f7 1234", "\u5de5\u53f7\uff1a 0001", "\u5de5", "\u53f7 "]),
    st.sampled_from(["1", "13", "@", ".", "-", "::", "\u62a4\u7167", "tel", "X", "<", "<EMAIL"]),
)
TEXTS = st.lists(_PIECES, max_size=8).map("".join)


def redacted(pieces: list[str], placeholders: Placeholders) -> str:
    redaction = Redaction(DETECTOR, placeholders.put)
    return "".join(map(redaction.feed, pieces)) + redaction.end()


def cut(text: str, places: list[int]) -> list[str]:
    borders = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(borders)]


@settings(max_examples=150)
@given(TEXTS, st.lists(st.integers(0, 200), max_size=12))
@example("110105 19491231 002Xa", [20])
@example("\u5de5\u53f7 1234", [1, 3])
@example("<EMAIL_1>", [3])
def test_where_a_text_is_cut_changes_nothing(text: str, places: list[int]) -> None:
    whole = Scanner(DETECTOR).redacted(text, Placeholders(SECRET).put)
    assert redacted(cut(text, places), Placeholders(SECRET)) == whole
    assert redacted(list(text), Placeholders(SECRET)) == whole


@settings(max_examples=100)
@given(TEXTS, st.lists(st.integers(0, 200), max_size=12))
def test_what_was_masked_can_be_put_back(text: str, places: list[int]) -> None:
    conversation = Conversation(Scanner(DETECTOR), SECRET)
    conversation.reserve(text)
    masked = conversation.redacted(text, Side.REQUEST)
    assert conversation.restored(masked) == text
    restoration = conversation.restoration()
    back = "".join(map(restoration.feed, cut(masked, places))) + restoration.end()
    assert back == text


@given(st.lists(TEXTS, max_size=4))
def test_what_is_masked_holds_nothing_any_more(texts: list[str]) -> None:
    """A second look finds nothing, so that a text which is stored and read again stays as it is."""
    conversation = Conversation(Scanner(DETECTOR), SECRET)
    conversation.reserve(texts)
    for text in conversation.redacted(texts, Side.REQUEST):
        assert found(text, DETECTOR) == []


JSON = st.recursive(
    st.one_of(TEXTS, st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["content", "text", "a b", "arguments", "n"]), inner),
    ),
    max_leaves=6,
)


@given(JSON)
def test_json_values_are_restored_as_they_were_but_for_numbers(value: Any) -> None:
    """A number that was a phone's comes back as a text: a placeholder is one."""
    conversation = Conversation(Scanner(DETECTOR), SECRET)
    conversation.reserve(value)
    back = conversation.restored(conversation.redacted(value, Side.REQUEST))
    assert _as_texts(back) == _as_texts(value)


def _as_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_texts(item) for item in value]
    return value if value is None else str(value)


@given(TEXTS, st.lists(st.integers(0, 200), max_size=12))
def test_a_restoration_hands_out_everything_at_last(text: str, places: list[int]) -> None:
    restoration = Restoration({})
    assert "".join(map(restoration.feed, cut(text, places))) + restoration.end() == text
