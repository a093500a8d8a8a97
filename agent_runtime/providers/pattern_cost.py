"""Bounds what matching one of a script's patterns can cost.

Python's matcher backtracks: nested repetition is exponential, k repetitions in a row take n^(k+1)
steps, and m choices (`a?`, `(a|b)`) in a row multiply that by the ways through them, such as 2^m.
So nesting is refused, k is at most 3, ways are counted, and callers cut the text they match.
"""

import re

MAX_PATTERN = 200  # characters
MAX_REPEATS = 3  # with 300 characters of text the worst case stays in seconds, not for ever
# a repetition costs as much as 50 ways; both together may cost as much as 3 repetitions, twice
_WAYS_OF_A_REPETITION = 50
MAX_COST = 2 * _WAYS_OF_A_REPETITION**MAX_REPEATS
MAX_MATCHED_TEXT = 300  # characters

_PIECE = re.compile(
    r"(?P<atom>\\.|\[\^?\]?(?:\\.|[^\]\\])*\])"  # an escape or a character class: opaque
    r"|(?P<hidden>\(\?(?:#|[aiLmsu-]*x))"  # comments, and the flag that allows them everywhere
    r"|(?P<open>\((?:\?(?:P<\w+>|P=|[:=!]|<[=!]|[aiLmsux-]+[:)]))?)"
    r"|(?P<close>\))"
    r"|(?P<repeat>[*+]|\{\d*,?\d*\})"
    r"|(?P<branch>[|?])",
    re.DOTALL,
)

_EXACT = re.compile(r"\{\d+\}")


def objection(pattern: str) -> str | None:
    """Return what is wrong with a pattern as "what; fix", or None if it may be used."""
    if len(pattern) > MAX_PATTERN:
        return f"is longer than {MAX_PATTERN} characters; split it into several rules"
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as exc:
        return f"is not a regular expression ({exc}); correct it"
    return _costly(pattern)


class _Scan:
    """Walks a pattern once, knowing for each open group whether its content can vary."""

    def __init__(self) -> None:
        self.repeats = 0
        self.nested = False
        self.hides = False
        self._varies = [False]
        self._ways = [(0, 1)]  # of each open group: of its ended branches together, of this one
        self._varying_group_ended_at = -1

    def open(self, piece: re.Match[str]) -> None:
        if not piece.group().endswith(")"):  # `(?i)` opens nothing
            self._varies.append(False)
            self._ways.append((0, 1))

    def ways(self) -> int:
        """Return in how many ways the pattern can be walked through, repetition aside."""
        ended, here = self._ways[-1]
        return ended + here

    def hidden(self, _piece: re.Match[str]) -> None:
        self.hides = True

    def close(self, piece: re.Match[str]) -> None:
        if len(self._ways) > 1:
            inside = self.ways()
            self._ways.pop()
            self._multiply(inside)
        if len(self._varies) > 1 and self._varies.pop():
            self._varies[-1] = True
            self._varying_group_ended_at = piece.end()

    def repeat(self, piece: re.Match[str]) -> None:
        self.nested = self.nested or piece.start() == self._varying_group_ended_at
        if _EXACT.fullmatch(piece.group()):  # `{4}` leaves nothing to try
            return
        self.repeats += 1
        self._varies[-1] = True

    def branch(self, piece: re.Match[str]) -> None:
        self._varies[-1] = True
        if piece.group() == "?":
            self._multiply(2)
        else:
            self._ways[-1] = (self.ways(), 1)

    def _multiply(self, ways: int) -> None:
        ended, here = self._ways[-1]
        self._ways[-1] = (ended, here * ways)

    def atom(self, piece: re.Match[str]) -> None:
        """Escapes and classes match one way only."""


def _costly(pattern: str) -> str | None:
    scan = _Scan()
    for piece in _PIECE.finditer(pattern):
        getattr(scan, piece.lastgroup or "atom")(piece)
    if scan.hides:
        return "has a comment or the flag x; leave them out"
    if scan.nested:
        return "repeats a group that itself varies; flatten it, or split the rule"
    if scan.repeats > MAX_REPEATS:
        return f"has more than {MAX_REPEATS} repetitions; split it into several rules"
    if scan.ways() * _WAYS_OF_A_REPETITION**scan.repeats > MAX_COST:
        return "can match in too many ways (`a?`, `(a|b)`); split it into several rules"
    return None
