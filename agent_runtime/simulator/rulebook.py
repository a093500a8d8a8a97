"""Which fault strikes which request. No clock: whoever asks brings the time."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from agent_runtime.providers.base import Json
from agent_runtime.simulator.faults import Fault, Match, Rule


@dataclass(frozen=True, slots=True)
class Facts:
    """What a rule can look at."""

    path: str
    model: str
    key: str
    stream: bool
    headers: Mapping[bytes, str] = field(default_factory=dict)


class _Counted:
    """A rule with what it has seen and done."""

    def __init__(self, rule: Rule, now: float) -> None:
        self.rule = rule
        self.matched = self.struck = 0
        self._ends_at = None if rule.seconds is None else now + rule.seconds
        self._random = random.Random(rule.match.seed)  # noqa: S311  # repeatable on purpose

    def healed(self, now: float) -> bool:
        """Return whether the rule will never strike again."""
        if self._ends_at is not None and now >= self._ends_at:
            return True
        return self.rule.count is not None and self.struck >= self.rule.count

    def strikes(self, facts: Facts, now: float) -> bool:
        """Return whether this request is struck; count it."""
        match = self.rule.match
        if self.healed(now) or not _concerns(match, facts):
            return False
        self.matched += 1
        if match.every is not None and self.matched % match.every:
            return False
        if match.share is not None and self._random.random() >= match.share:
            return False
        self.struck += 1
        return True


class Rulebook:
    """The rules in their order; the first one that strikes decides."""

    def __init__(self, rules: Sequence[Rule], now: float) -> None:
        self._rules = [_Counted(rule, now) for rule in rules]

    def strike(self, facts: Facts, now: float) -> Fault | None:
        """Return the fault for a request, or None."""
        for counted in self._rules:
            if counted.strikes(facts, now):
                return counted.rule.fault
        return None

    def state(self, now: float) -> list[Json]:
        """Return for each rule how many requests matched and were struck, and if it is over."""
        return [
            {"matched": each.matched, "struck": each.struck, "healed": each.healed(now)}
            for each in self._rules
        ]


def _concerns(match: Match, facts: Facts) -> bool:
    return (
        (match.path is None or fnmatchcase(facts.path, match.path))
        and (match.model is None or fnmatchcase(facts.model, match.model))
        and (match.key is None or match.key == facts.key)
        and (match.stream is None or match.stream == facts.stream)
        and all(_has(facts.headers, *wanted) for wanted in match.headers.items())
    )


def _has(headers: Mapping[bytes, str], name: str, pattern: str) -> bool:
    value = headers.get(name.lower().encode())
    return value is not None and fnmatchcase(value, pattern)
