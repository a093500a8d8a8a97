"""Texts that come in pieces: hits and placeholders are found across the pieces' borders.

Both hold back no more than what could still become a hit or a placeholder; see `REACH` and
`_LONGEST`.
"""

import re
from collections.abc import Callable, Mapping

from agent_runtime.guard.pii.detector import Detector
from agent_runtime.guard.pii.kinds import Rule
from agent_runtime.guard.pii.surroundings import BEFORE_BYTES

Replace = Callable[[Rule, str], str]
"""From a rule and the original to what stands in its place."""

MARK = re.compile(r"<[A-Z][A-Z0-9_]{0,40}_(?:[1-9][0-9]{0,5}|[a-z2-7]{12})>")
_LONGEST = 60
_BEGUN = re.compile(rf"<[A-Za-z0-9_]{{0,{_LONGEST}}}\Z")


class Redaction:
    """One text on its way: originals go in, placeholders come out."""

    def __init__(self, detector: Detector, replace: Replace) -> None:
        self._detector = detector
        self._replace = replace
        self._text = b""
        self._edge = 0
        self._at = 0
        """Everything before has been handed out; a little of it is kept as surroundings."""

    def feed(self, piece: str) -> str:
        """Return what can be handed out now."""
        self._text += piece.encode()
        return self._until(self._detector.undecided_from(self._text, self._at))

    def end(self) -> str:
        """Return the rest: nothing more will come."""
        return self._until(len(self._text))

    def _until(self, decided: int) -> str:
        text, at = self._text, self._at
        parts: list[str] = []
        for hit in self._detector.hits(text, at, decided, self._edge):
            parts.append(text[at : hit.start].decode())
            parts.append(self._replace(hit.rule, text[hit.start : hit.end].decode()))
            at = self._edge = hit.end
        end = max(at, decided)
        while end < len(text) and text[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        parts.append(text[at:end].decode())
        kept = max(0, end - BEFORE_BYTES)
        self._text, self._at = text[kept:], end - kept
        self._edge = max(0, self._edge - kept)
        return "".join(parts)


class Restoration:
    """One text on its way back: placeholders go in, and originals come out where there are any."""

    def __init__(self, originals: Mapping[str, str]) -> None:
        """`originals` by placeholder; it may grow meanwhile."""
        self._originals = originals
        self._rest = ""

    def feed(self, piece: str) -> str:
        """Return what can be handed out now."""
        text = self._rest + piece
        begun = _BEGUN.search(text, max(0, len(text) - _LONGEST - 1)) if "<" in text else None
        end = len(text) if begun is None else begun.start()
        self._rest = text[end:]
        return restored(text[:end], self._originals)

    def end(self) -> str:
        """Return the rest: nothing more will come."""
        rest, self._rest = self._rest, ""
        return rest


def restored(text: str, originals: Mapping[str, str]) -> str:
    """Return a text with the originals of the placeholders that are known."""
    if "<" not in text or not originals:
        return text
    return MARK.sub(lambda mark: originals.get(mark[0], mark[0]), text)
