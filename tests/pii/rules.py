"""Detectors and rules for tests."""

from collections.abc import Mapping

from agent_runtime.guard.pii import user_patterns
from agent_runtime.guard.pii.detector import Detector
from agent_runtime.guard.pii.kinds import LABELS, Kind, Policy, Rule, label_of

SECRET = b"a secret that nobody knows 12345"


def rules(policy: Policy = Policy.MASK, *, restore: bool = True) -> dict[Kind, Rule]:
    """Return rules that treat every kind alike."""
    return {kind: Rule(kind.value, LABELS[kind], policy, restore=restore) for kind in Kind}


def detector(
    policy: Policy = Policy.MASK, *, restore: bool = True, patterns: Mapping[str, str] | None = None
) -> Detector:
    """Return a detector of all kinds, and of these patterns by name."""
    users = [
        (user_patterns.parse(pattern), Rule(name, label_of(name), policy, restore=restore))
        for name, pattern in (patterns or {}).items()
    ]
    return Detector(rules(policy, restore=restore), users)


def found(text: str, by: Detector) -> list[tuple[str, str]]:
    """Return what is found in a text, as names of rules and originals."""
    raw = text.encode()
    return [(hit.rule.name, raw[hit.start : hit.end].decode()) for hit in by.hits(raw)]
