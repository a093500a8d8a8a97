"""The expressions that find candidates, and how far the end of a text may still become one.

RE2 runs them: one automaton over the bytes for all kinds together, in linear time whatever the
text. It has no look-around, so `checks` judges what stands beside a candidate.
"""

from collections.abc import Iterable

from agent_runtime.guard.pii.kinds import Kind
from agent_runtime.guard.pii.user_patterns import UserPattern

_D = "[0-9\uff10-\uff19]"  # full-width digits are written with Chinese input methods
_SEPARATORS = " .\u00a0\u3000\u2010-\u2015\uff0d\\-"
_S = f"[{_SEPARATORS}]?"
_PLUS = "[+\uff0b]"
_OPEN = "[(\uff08]"
_AT = "[@\uff20]"
_DOT = "[.\uff0e]"
_LOCAL = "[A-Za-z0-9._%+'\\-]"
_HEX = "[0-9A-Fa-f]"

MARKS = "<[A-Z][A-Z0-9_]{0,40}_(?:[1-9][0-9]{0,5}(?:_[a-z2-7]{6})?|[a-z2-7]{12})>"
"""A placeholder: found first, and left alone."""

AROUND_AN_AT = f"{_LOCAL}{_AT}[A-Za-z0-9]"
"""An address is found by its middle: what stands before it may be long and no address at all."""

_CANDIDATES = {
    Kind.EMAIL: AROUND_AN_AT,
    # how such numbers begin; `checks` takes what belongs together
    Kind.PHONE: (
        f"{_PLUS}{_D}(?:[{_SEPARATORS}()\uff08\uff09]{{0,2}}{_D}){{6}}"
        f"|(?:(?:00)?86{_S})?1(?:{_S}{_D}){{10}}"
        f"|{_OPEN}?0{_D}{{2,3}}[)\uff09{_SEPARATORS}]{{1,2}}{_D}{{3,4}}{_S}{_D}{{4}}"
        f"|0086(?:{_S}{_D}){{9}}"
    ),
    Kind.ID_CARD: f"{_D}{{6}}{_S}{_D}{{4}}{_S}{_D}{{4}}{_S}{_D}{{3}}(?:{_D}|[Xx\uff38\uff58])",
    Kind.BANK_CARD: (
        f"{_D}{{14}}|{_D}{{4}}[ \\-]{_D}{{4,6}}[ \\-]{_D}{{4}}|{_D}{{6}}[ \\-]{_D}{{10}}"
    ),
    Kind.IP_ADDRESS: (
        f"[0-9]{{1,3}}(?:[.][0-9]{{1,3}}){{3}}|{_HEX}{{1,4}}:(?:{_HEX}{{0,4}}:){{1,6}}|::{_HEX}"
    ),
    Kind.PASSPORT: f"[A-Za-z]{{1,3}}{_D}{{6,8}}|{_D}{{8,9}}",
}

# What may still become a hit, or what has to be seen of the text after one. Too much here only
# makes a stream wait; too little would make a hit depend on where the chunks end.
_WORD = f"{_LOCAL}+(?:{_AT}[A-Za-z0-9.\uff0e\\-]*)?"
_DIGITS = (
    "(?:[+\uff0b(\uff08]|[A-Za-z]{0,3})"
    f"(?:{_D}[{_SEPARATORS}()\uff08\uff09]{{0,2}})+(?:[Xx\uff38\uff58][.]?)?"
)
_OPENED = "[+\uff0b(\uff08]"
_GROUPS = "[0-9A-Fa-f:.]+"
_MARK = "<[A-Za-z0-9_]{0,60}"
REACH = 430
"""Bytes that a hit, with what has to be seen after it, takes at most: an address of 64 characters,
`@` (3 bytes where it is full-width), five names of 63 with their dots, and 24 letters."""


def finding(kinds: Iterable[Kind], patterns: Iterable[UserPattern]) -> bytes:
    """Return the expression of all candidates; a user's pattern wins over a kind of ours."""
    parts = [MARKS, *(pattern.whole for pattern in patterns)]
    parts += [_CANDIDATES[kind] for kind in kinds]
    return "|".join(parts).encode()


def undecided(kinds: Iterable[Kind], patterns: Iterable[UserPattern]) -> bytes:
    """Return the expression of an end of a text that more text may make a hit."""
    parts = [_MARK, *(pattern.begun for pattern in patterns)]
    if any(True for _ in kinds):
        parts += [_WORD, _DIGITS, _OPENED, _GROUPS]
    return f"(?:{'|'.join(parts)})\\z".encode()
