"""What was heard from pods, in memory: nothing in it is older than 10 s, and all may be lost.

Counts are kept by system, so that a report costs as much in a system of a thousand pods as in one
of two. A system is due for a pass only when its pods say something else than before.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from agentsystem_operator import ports
from agentsystem_operator.api.reasons import BudgetState
from agentsystem_operator.decide import budget, providers
from agentsystem_operator.model.heard import Choice, Heard, Load, Said, Speaker, Statement
from agentsystem_operator.model.references import SystemKey

FORGET_S = 10.0
"""Ten reports: who missed them all is gone, or cut off."""
SWEEP_S = 1.0
NAMES_MAX = 128
"""Providers or routes of one system; a spec has at most 50 of either, pods of two revisions may
know different ones."""

_TOGETHER: Mapping[str, Callable[[Iterable[float]], float]] = {
    "in_flight": sum,
    "queue_depth": sum,
    "oldest_s": max,
    "rate_per_s": sum,
    "p95_s": max,
    "tokens_per_s": sum,
    "sessions": sum,
    "saturation": max,
}
"""How each measure of `Load` is put together for all pods."""

K = TypeVar("K")


@dataclass(slots=True)
class _Pod:
    heard_at: float
    load: Load
    said: Said


@dataclass(slots=True)
class _Counts:
    """How many pods of one system say what."""

    pods: int = 0
    providers: dict[str, Counter[Statement]] = field(default_factory=dict)
    routes: dict[str, Counter[Choice]] = field(default_factory=dict)
    budget: Counter[BudgetState] = field(default_factory=Counter)
    told: object = None
    """What followed from them when the system was last due."""

    def verdict(self) -> object:
        """Return what follows from them, for comparison: most changes of a pod change nothing."""
        states = {name: providers.judged(said) for name, said in self.providers.items()}
        routes = {name: _ranks(said) for name, said in self.routes.items()}
        return states, routes, budget.judged(+self.budget)

    def add(self, said: Said, by: int) -> None:
        for name, statement in said.providers.items():
            _count(self.providers, name, statement, by)
        for name, choice in said.routes.items():
            _count(self.routes, name, choice, by)
        if said.budget is not None:
            self.budget[said.budget] += by


def _ranks(choices: Mapping[Choice, int]) -> Mapping[str, int]:
    """Return the place of each provider among those in use: one pod more mostly moves none."""
    votes = providers.favourites(choices)
    places = sorted(set(votes.values()), reverse=True)
    return {name: places.index(pods) for name, pods in votes.items()}


def _count(table: dict[str, Counter[K]], name: str, what: K, by: int) -> None:
    if name not in table and len(table) >= NAMES_MAX:
        return
    counter = table.setdefault(name, Counter())
    counter[what] += by
    if counter[what] <= 0:
        del counter[what]
        if not counter:
            del table[name]


class HeardTable:
    """The table; empty whenever we do not lead."""

    def __init__(self, *, clock: ports.Clock, changed: Callable[[SystemKey], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._pods: dict[Speaker, _Pod] = {}
        self._counts: dict[SystemKey, _Counts] = {}
        self._since: datetime = clock.now()

    def __len__(self) -> int:
        return len(self._pods)

    def measures(self) -> Mapping[str, float]:
        """Return the load of all pods together; what none of them told is absent."""
        pods = [pod.load for pod in self._pods.values()]
        found: dict[str, float] = {}
        for measure, together in _TOGETHER.items():
            told = [value for load in pods if (value := getattr(load, measure)) is not None]
            if told:
                found[measure] = float(together(told))
        return found

    def begin(self) -> None:
        """Forget everything and listen from now on: somebody else was told what we missed."""
        self._pods.clear()
        self._counts.clear()
        self._since = self._clock.now()

    def of(self, key: SystemKey) -> Heard:
        """Return what the pods of a system say."""
        counts = self._counts.get(key, _Counts())
        return Heard(
            self._since,
            {name: dict(counter) for name, counter in counts.providers.items()},
            {name: dict(counter) for name, counter in counts.routes.items()},
            dict(+counts.budget),
        )

    def heard(self, speaker: Speaker, load: Load, said: Said) -> None:
        """Take a report; that its pod leaves says nothing, since it may be back in a moment."""
        now = self._clock.monotonic()
        pod = self._pods.get(speaker)
        if pod is None:
            pod = self._pods[speaker] = _Pod(now, load, Said())
            self._counts.setdefault(speaker.system, _Counts()).pods += 1
        pod.heard_at, pod.load = now, load
        if said is not pod.said and said != pod.said:
            counts = self._counts[speaker.system]
            counts.add(said, 1)
            counts.add(pod.said, -1)
            pod.said = said
            self._tell(speaker.system, counts)

    def forget_the_silent(self) -> None:
        """Drop the pods that were not heard for too long."""
        oldest = self._clock.monotonic() - FORGET_S
        for speaker in [s for s, pod in self._pods.items() if pod.heard_at < oldest]:
            self._drop(speaker)

    async def run(self) -> None:
        """Forget for ever what is too old."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.forget_the_silent()

    def _drop(self, speaker: Speaker) -> None:
        pod = self._pods.pop(speaker)
        counts = self._counts[speaker.system]
        counts.add(pod.said, -1)
        counts.pods -= 1
        self._tell(speaker.system, counts)
        if not counts.pods:
            del self._counts[speaker.system]

    def _tell(self, key: SystemKey, counts: _Counts) -> None:
        verdict = counts.verdict()
        if verdict != counts.told:
            counts.told = verdict
            self._changed(key)
