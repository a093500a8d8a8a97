"""One request under protection: what has been found, what stands in its place, what is blocked."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

from agent_runtime.guard.pii import walk
from agent_runtime.guard.pii.detector import Detector
from agent_runtime.guard.pii.kinds import Policy, Rule
from agent_runtime.guard.pii.placeholders import Placeholders
from agent_runtime.guard.pii.streams import Redaction, Restoration, restored

_REMEMBERED = 20_000  # clean texts, a hash of 8 bytes each with its overhead: 2 MB at most
_WORTH_REMEMBERING = 100  # characters; a shorter text is scanned sooner than looked up


class Side(StrEnum):
    """Where something was found; a label of metrics."""

    REQUEST = "request"
    HISTORY = "history"  # kept by a session before it was protected
    ANSWER = "answer"


class Blocked(Exception):  # the condition is the name
    """A kind that must not pass. Carries the kind, never what was found."""

    def __init__(self, rule: Rule, side: Side) -> None:
        super().__init__(rule.name)
        self.kind = rule.name
        self.side = side


class Scanner:
    """Detects for one agent; remembers clean texts, which every turn of a conversation repeats.

    What the agent's author has written into its instructions is no secret of a caller's.
    """

    def __init__(self, detector: Detector, instructions: str = "") -> None:
        self.detector = detector
        text = instructions.encode()
        self._public = {text[h.start : h.end].decode() for h in detector.hits(text)}
        self._clean: set[int] = set()  # of hashes, that nobody outside can foresee

    def is_public(self, original: str) -> bool:
        """Return whether the instructions say it."""
        return original in self._public

    def redacted(self, text: str, replace: Callable[[Rule, str], str]) -> str:
        """Return a whole text with what `replace` puts in place of each hit."""
        if len(text) < _WORTH_REMEMBERING:
            return self._scanned(text, replace)
        if (known := hash(text)) in self._clean:
            return text
        found = self._scanned(text, replace)
        if found is text:
            if len(self._clean) >= _REMEMBERED:
                self._clean.clear()
            self._clean.add(known)
        return found

    def _scanned(self, text: str, replace: Callable[[Rule, str], str]) -> str:
        raw = text.encode()
        parts: list[str] = []
        at = 0
        for hit in self.detector.hits(raw):
            original = raw[hit.start : hit.end].decode()
            parts += (raw[at : hit.start].decode(), replace(hit.rule, original))
            at = hit.end
        return text if not parts else "".join(parts) + raw[at:].decode()


class Conversation:
    """The placeholders and findings of one request, together with the turns before it."""

    def __init__(self, scanner: Scanner, secret: bytes) -> None:
        self.found: dict[Side, Counter[str]] = {side: Counter() for side in Side}
        self.rules: dict[str, Rule] = {}
        """The rules of what was found, by name."""
        self.blocked: Blocked | None = None
        self._scanner = scanner
        self._placeholders = Placeholders(secret)

    @property
    def any_found(self) -> bool:
        """Whether there is something to record."""
        return self.blocked is not None or any(self.found.values())

    @property
    def gives_back_what_was_answered(self) -> bool:
        """Whether originals that a model wrote by itself are put back into its answer."""
        return any(self.rules[name].restore for name in self.found[Side.ANSWER])

    def recall(self, history: Sequence[Any]) -> list[Any]:
        """Return what a session kept, as a model sees it; what is unprotected there is masked."""
        known = [walk.changed(message, self._placeholders.recalled) for message in history]
        return [walk.changed(message, self._redacting(Side.HISTORY)) for message in known]

    def reserve(self, value: Any) -> None:
        """Use no number that a request writes out itself."""

        def look(text: str) -> str:
            self._placeholders.reserve(text)
            return text

        walk.changed(value, look)

    def redacted(self, value: Any, side: Side) -> Any:
        """Return a JSON value without what the rules are about; raise `Blocked`."""
        return walk.changed(value, self._redacting(side))

    def kept(self, value: Any) -> Any:
        """Return a redacted value as a session keeps it."""
        return walk.changed(value, self._placeholders.kept)

    def restored(self, value: Any) -> Any:
        """Return an answer as its caller sees it."""
        return walk.changed(value, lambda text: restored(text, self._placeholders.originals))

    def redaction(self) -> Redaction:
        """Return what redacts one text of a streamed answer."""
        return Redaction(self._scanner.detector, self._replacing(Side.ANSWER))

    def restoration(self) -> Restoration:
        """Return what restores one text of a streamed answer."""
        return Restoration(self._placeholders.originals)

    def _redacting(self, side: Side) -> Callable[[str], str]:
        replace = self._replacing(side)
        return lambda text: self._scanner.redacted(text, replace)

    def _replacing(self, side: Side) -> Callable[[Rule, str], str]:
        def replace(rule: Rule, original: str) -> str:
            if self._scanner.is_public(original):
                return original
            self.found[side][rule.name] += 1
            self.rules[rule.name] = rule
            # what is stored already would block every later turn
            if rule.policy is Policy.BLOCK and side is not Side.HISTORY:
                self.blocked = Blocked(rule, side)
                raise self.blocked
            return self._placeholders.put(rule, original)

        return replace


def texts_of(values: Iterable[Any]) -> str:
    """Return all texts in JSON values, one per line, for a hash of them."""
    found: list[str] = []

    def look(text: str) -> str:
        found.append(text)
        return text

    for value in values:
        walk.changed(value, look)
    return "\n".join(found)
