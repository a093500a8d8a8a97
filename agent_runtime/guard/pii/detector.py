"""Finds hits in a text, whole or in pieces: the result never depends on where the pieces end.

Works on UTF-8, since RE2 does. Invariant: what is decided about a place depends on at most
`BEFORE_BYTES` before it and on what `undecided` reaches over, so a stream decides as a whole does.
"""

import re
import string
from collections.abc import Iterator, Mapping, Sequence

import re2  # type: ignore[import-untyped]  # it has no annotations

from agent_runtime.guard.pii import candidates, checks, surroundings
from agent_runtime.guard.pii.kinds import Hit, Kind, Rule
from agent_runtime.guard.pii.user_patterns import UserPattern

_WINDOW = 160  # bytes; no number is longer, even with full-width digits
_AT = (b"@", "\uff20".encode())
_OPENS_A_MARK = ord("<")
_ORDINARY: dict[int, int | str] = {
    **{0xFF10 + digit: 0x30 + digit for digit in range(10)},
    0xFF20: "@", 0xFF0E: ".", 0xFF0B: "+", 0xFF0D: "-", 0xFF08: "(", 0xFF09: ")", 0x3000: " ",
    0xFF38: "X", 0xFF58: "x",
}  # fmt: skip
"""Full-width characters that stand in numbers and addresses; each becomes one character."""
_TOKEN = re.compile(rb"[0-9]+|[A-Za-z_]+")
_WORD = frozenset(string.ascii_letters.encode() + string.digits.encode() + b"_")


class Detector:
    """Knows what to look for; one instance serves all texts."""

    def __init__(
        self, rules: Mapping[Kind, Rule], patterns: Sequence[tuple[UserPattern, Rule]] = ()
    ) -> None:
        kinds = [kind for kind in Kind if kind in rules]
        users = [pattern for pattern, _ in patterns]
        self._email = rules.get(Kind.EMAIL)
        self._checks = [(check, rules[kind]) for kind, check in checks.OF_NUMBERS if kind in rules]
        self._finding = re2.compile(candidates.finding(kinds, users))
        self._undecided = re2.compile(candidates.undecided(kinds, users))
        self._mark = re2.compile(candidates.MARKS.encode())
        self._patterns = [(re2.compile(p.whole.encode()), rule) for p, rule in patterns]

    def hits(
        self, text: bytes, at: int = 0, decided: int | None = None, edge: int = 0
    ) -> Iterator[Hit]:
        """Yield the hits that begin from `at` on and before `decided`, in order; none overlap.

        `edge` is where the last hit ended: what follows one stands as free as after a blank.
        """
        decided = len(text) if decided is None else decided
        since = at
        while (found := self._finding.search(text, at)) is not None:
            start, end = found.span()
            if start >= decided:
                return
            if text[start] == _OPENS_A_MARK and self._mark.fullmatch(text, start, end):
                at = since = end
            elif (hit := self._judged(text, start, since, edge)) is not None:
                yield hit
                at = since = edge = hit.end
            else:
                at = _next(text, start)

    def undecided_from(self, text: bytes, at: int) -> int:
        """Return from where on more text could change what is found."""
        found = self._undecided.search(text, at)
        begun = len(text) if found is None else int(found.start())
        return max(begun, len(text) - candidates.REACH)

    def _judged(self, text: bytes, start: int, since: int, edge: int) -> Hit | None:
        if (hit := self._users_hit(text, start)) is not None:
            return hit
        raw = text[start : start + _WINDOW].decode(errors="ignore")
        window, earlier = _ordinary(raw), _ordinary(_before(text, start, edge))
        if self._email and window[1:2] == "@":
            return self._address(text, start, since)
        for check, rule in self._checks:
            if (span := check(window, earlier)) is not None:
                return Hit(start, start + _bytes(raw, span[1]), rule)
        return None

    def _address(self, text: bytes, start: int, since: int) -> Hit | None:
        """Judge the address around the `@` that is the second character from `start`."""
        raw = text[start + 1 : start + candidates.REACH].decode(errors="ignore")
        local = text[max(since, start - 63) : start + 1].decode(errors="ignore")
        span = checks.email(_ordinary(raw), local)
        if span is None or self._email is None:
            return None
        return Hit(start + 1 + span[0], start + 1 + _bytes(raw, span[1]), self._email)

    def _users_hit(self, text: bytes, start: int) -> Hit | None:
        for pattern, rule in self._patterns:
            found = pattern.match(text, start)
            if found is not None and _stands_alone(text, start, end := int(found.end())):
                return Hit(start, end, rule)
        return None


def _stands_alone(text: bytes, start: int, end: int) -> bool:
    """Return whether a match is no part of a longer word."""
    return not (
        (start > 0 and _in_word(text[start]) and _in_word(text[start - 1]))
        or (end < len(text) and _in_word(text[end - 1]) and _in_word(text[end]))
    )


def _before(text: bytes, start: int, edge: int) -> str:
    first = max(0, start - surroundings.BEFORE_BYTES)
    if first < edge:
        return (text[first:edge] + b" " + text[edge:start]).decode(errors="ignore")
    return text[first:start].decode(errors="ignore")


def _bytes(text: str, characters: int) -> int:
    return characters if text.isascii() else len(text[:characters].encode())


def _ordinary(text: str) -> str:
    return text if text.isascii() else text.translate(_ORDINARY)


def _next(text: bytes, start: int) -> int:
    """Return the next place where something may begin: not among letters alone, or digits.

    But an address is found by the character before its `@`.
    """
    found = _TOKEN.match(text, start)
    end = found.end() if found else start + 1
    return end - 1 if end > start + 1 and text.startswith(_AT, end) else end


def _in_word(byte: int) -> bool:
    return byte in _WORD
