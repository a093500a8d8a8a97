"""Builds the protection of data about people that a config asks for."""

from pathlib import Path

from agent_runtime.agents.private.key import SecretKey
from agent_runtime.agents.private.stage import Protection
from agent_runtime.app.contract_guard import GuardEntry
from agent_runtime.app.contract_pii import PiiKindEntry, PiiPatternEntry
from agent_runtime.guard.pii import user_patterns
from agent_runtime.guard.pii.detector import Detector
from agent_runtime.guard.pii.kinds import LABELS, Kind, Policy, Rule, label_of
from agent_runtime.observability.metrics import Metrics


def protection_of(guard: GuardEntry | None, metrics: Metrics) -> Protection | None:
    """Return the protection, or None where nothing is asked for."""
    entry = guard.pii if guard else None
    if entry is None:
        return None
    patterns = [(user_patterns.parse(p.pattern), _of_pattern(p)) for p in entry.patterns]
    detector = Detector({Kind(k.kind): _of_kind(k) for k in entry.kinds}, patterns)
    key = SecretKey(Path(entry.key.file), origin=entry.key.origin, missing=metrics.pii.key_missing)
    return Protection(detector, key, metrics.pii)


def _of_kind(entry: PiiKindEntry) -> Rule:
    label = LABELS[Kind(entry.kind)]
    return Rule(entry.kind, label, Policy(entry.policy), restore=entry.restore)


def _of_pattern(entry: PiiPatternEntry) -> Rule:
    return Rule(entry.name, label_of(entry.name), Policy(entry.policy), restore=entry.restore)
