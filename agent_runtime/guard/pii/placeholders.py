"""The placeholders of one conversation: the same original gets the same one in all its turns.

A session keeps `<EMAIL_1_k3f9zz>`: the letters are a keyed hash of the original, by which a later
turn, in whatever pod, knows it again without having it. Models and callers see `<EMAIL_1>`: two
conversations that differ in people's data alone are the same to a model, and to a cache.
"""

import base64
import hashlib
import re
from collections.abc import MutableMapping

from agent_runtime.guard.pii.kinds import Policy, Rule

_KEPT = re.compile(r"<([A-Z][A-Z0-9_]{0,40})_([1-9][0-9]{0,5})(?:_([a-z2-7]{6}))?>")
_TAG = 6  # characters of base32, 30 bits: enough to tell the originals of a conversation apart
_HASH = 12  # 60 bits: to tell all of a system apart


class Placeholders:
    """Numbers originals, and knows those of this request."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._taken: dict[str, int] = {}
        """The highest number of each label."""
        self._by_tag: dict[tuple[str, str], str] = {}
        self._by_original: dict[tuple[str, str], str] = {}
        self._kept_as: dict[str, str] = {}
        self.originals: MutableMapping[str, str] = {}
        """What callers get back, by placeholder: of this request alone."""

    def recalled(self, text: str) -> str:
        """Return a text that a session kept as a model sees it, and know its placeholders."""
        return _KEPT.sub(self._recall, text) if "<" in text else text

    def reserve(self, text: str) -> None:
        """Use no number that stands in a text already."""
        if "<" in text:
            for found in _KEPT.finditer(text):
                self._take(found[1], int(found[2]))

    def put(self, rule: Rule, original: str) -> str:
        """Return the placeholder of an original."""
        known = self._by_original.get((rule.label, original))
        if known is None:
            known = self._new(rule, original)
            self._by_original[rule.label, original] = known
            if rule.restore:
                self.originals[known] = original
        return known

    def kept(self, text: str) -> str:
        """Return a text as a session keeps it."""
        if "<" not in text:
            return text
        return _KEPT.sub(lambda found: self._kept_as.get(found[0], found[0]), text)

    def _new(self, rule: Rule, original: str) -> str:
        digest = keyed(self._secret, f"{rule.label}\n{original}")
        if rule.policy is Policy.HASH:
            return f"<{rule.label}_{digest[:_HASH]}>"
        tag = digest[:_TAG]
        known = self._by_tag.get((rule.label, tag))
        return known or self._number(rule.label, self._taken.get(rule.label, 0) + 1, tag)

    def _number(self, label: str, number: int, tag: str) -> str:
        self._take(label, number)
        placeholder = f"<{label}_{number}>"
        self._by_tag[label, tag] = placeholder
        self._kept_as[placeholder] = f"<{label}_{number}_{tag}>"
        return placeholder

    def _recall(self, found: re.Match[str]) -> str:
        label, number, tag = found[1], int(found[2]), found[3]
        if tag is not None and (label, tag) not in self._by_tag:
            return self._number(label, number, tag)
        self._take(label, number)
        return f"<{label}_{number}>"

    def _take(self, label: str, number: int) -> None:
        self._taken[label] = max(number, self._taken.get(label, 0))


def keyed(secret: bytes, text: str) -> str:
    """Return a keyed hash of a text, 32 characters of a-z and 2-7."""
    digest = hashlib.blake2b(text.encode(), key=secret, digest_size=20).digest()
    return base64.b32encode(digest).decode().lower()
