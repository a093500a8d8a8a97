"""Patterns of users: characters and sets of them, each with bounds on how often it may stand.

Neither groups nor choices nor endless repetition: the apiserver can judge such a pattern by an
expression of its own (the operator's `api/pii.py` has it), its longest match has a length, and what
may still become a match can be told from the pattern alone.
"""

import re
from dataclasses import dataclass

MAX_LENGTH = 100
_RANGES = "a-z|A-Z|0-9|a-f|A-F|\u4e00-\u9fff"
_ESCAPE = r"\\[-\\\[\](){}.*+?|^$/]"
_SET = rf"\[(?:{_RANGES}|[^-\\\[\]{{}}^]|{_ESCAPE})+\]"
_ITEM = rf"(?:[^-\\\[\](){{}}.*+?|^$]|-|\\d|{_ESCAPE}|{_SET})"
_TIMES = r"(?:\?|\{([0-9]{1,2})(?:,([0-9]{1,2}))?\})"
_PIECE = re.compile(f"(?P<item>{_ITEM})(?P<times>{_TIMES})?")

FIX = "write characters, \\d or sets such as [A-Z0-9], each alone or with ?, {n} or {n,m}"


@dataclass(frozen=True, slots=True)
class UserPattern:
    """A pattern as expressions of RE2."""

    whole: str
    begun: str
    """What a match looks like of which only the beginning has come, or all of it."""


def parse(text: str) -> UserPattern:
    """Return the pattern, or raise ValueError that says "what; fix"."""
    pieces: list[tuple[str, int, int]] = []
    at = 0
    while at < len(text):
        found = _PIECE.match(text, at)
        if found is None:
            raise ValueError(f"is no pattern from character {at + 1} on; {FIX}")
        pieces.append((_item(found["item"]), *_times(found)))
        at = found.end()
    if not pieces or pieces[0][1] == 0:
        raise ValueError("may match nothing at all; begin with a character that must be there")
    whole = "".join(f"(?:{item}){{{least},{most}}}" for item, least, most in pieces)
    return UserPattern(whole, _begun(pieces))


def _times(piece: re.Match[str]) -> tuple[int, int]:
    if piece["times"] is None:
        return 1, 1
    if piece["times"] == "?":
        return 0, 1
    least = int(piece[3])
    most = least if piece[4] is None else int(piece[4])
    if least > most or most == 0:
        raise ValueError(f"repeats {piece['times']}; write {{n,m}} with m >= n, and m >= 1")
    return least, most


def _item(text: str) -> str:
    if text == r"\d":
        return "[0-9]"
    if text.startswith("["):
        return text
    return re.escape(text) if len(text) == 1 else text


def _begun(pieces: list[tuple[str, int, int]]) -> str:
    """With ab{2,3}c: `a{0,1}|a{1,1}(b{0,3}|b{2,3}(c{0,1}))`."""
    expression = ""
    for item, least, most in reversed(pieces):
        cut = f"(?:{item}){{0,{most}}}"
        more = f"|(?:{item}){{{least},{most}}}(?:{expression})" if expression else ""
        expression = cut + more
    return f"(?:{expression})"
