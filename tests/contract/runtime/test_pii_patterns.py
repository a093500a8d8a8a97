"""What the API lets pass as a pattern to search for, the runtime can search for."""

import re

import re2  # type: ignore[import-untyped]  # it has no annotations
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent_runtime.guard.pii import user_patterns
from agentsystem_operator.api import pii

_PARTS = st.sampled_from(
    [
        "a",
        "Z",
        "0",
        "-",
        " ",
        "\u5de5",
        "\\d",
        "\\.",
        "\\[",
        "\\-",
        "[a-z]",
        "[0-9_]",
        "[A-Z0-9-]",
        "[[]",
        "[{1,2}]",
        "[\\]]",
        "[\\\\]",
        "[:alpha:]",
        "?",
        "{2}",
        "{1,3}",
        "{3,1}",
        "{0}",
        "{0,0}",
        "{0,2}",
        "{01}",
        "+",
        "*",
        ".",
        "(",
        ")",
        "|",
        "^",
        "$",
        "\\w",
        "\\",
        "{",
        "}",
        "[",
        "]",
        "\n",
        "/",
        "#",
        "&&",
        "~",
    ]
)


def _api_accepts(pattern: str) -> bool:
    return (
        len(pattern) <= user_patterns.MAX_LENGTH
        and re.fullmatch(pii.SEARCH[1:-1], pattern) is not None
        and all(int(least) <= int(most) for least, most in pii.bounds_in(pattern))
    )


def _runtime_accepts(pattern: str) -> bool:
    try:
        parsed = user_patterns.parse(pattern)
    except ValueError:
        return False
    re2.compile(parsed.whole.encode())
    re2.compile(parsed.begun.encode())
    return True


@settings(max_examples=300)
@given(st.lists(_PARTS, min_size=1, max_size=6).map("".join))
@example("[A-Z]{2}[0-9a-f]{8}-?x")
@example("[&&a]")
def test_what_the_api_accepts_the_runtime_accepts(pattern: str) -> None:
    if _api_accepts(pattern):
        assert _runtime_accepts(pattern)


@settings(max_examples=200)
@given(st.from_regex(pii.SEARCH, fullmatch=True))
def test_everything_of_that_form_can_be_searched_for(pattern: str) -> None:
    if _api_accepts(pattern):
        assert _runtime_accepts(pattern)
