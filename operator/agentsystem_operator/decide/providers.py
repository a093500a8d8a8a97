"""How the providers of a system are, concluded from what its pods say of them.

Imported by status and the engine. Invariants: who was not heard is doubt, and doubt is `Unknown`,
never `Down` (I1); in the first seconds after the operator began to listen silence means nothing,
and what was reported before stands (I2); no judgement here ever reaches Ready.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from agentsystem_operator.api.budget import Budget
from agentsystem_operator.api.reasons import BudgetState, ProviderState
from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.decide import budget as budgets
from agentsystem_operator.decide import damping
from agentsystem_operator.model.heard import Choice, Heard, Statement, Unrest

LISTENS = timedelta(seconds=10)
"""By then every pod that can be heard has been: they report each second, and come back in five."""

_RANK = {
    ProviderState.HEALTHY: 0,
    ProviderState.IMPAIRED: 1,
    ProviderState.UNKNOWN: 2,
    ProviderState.DOWN: 3,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One provider."""

    name: str
    state: ProviderState
    since: datetime
    reason: str = ""
    """The class of failure with which it came into this state; "" when that is none."""


@dataclass(frozen=True, slots=True)
class Way:
    """One route."""

    name: str
    active: str
    """The provider that is asked, "" when none is or nobody was heard."""
    preferred: str
    """The first of its chain."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """All that pods told of, as it is reported: providers, routes and the budget."""

    providers: tuple[Finding, ...]
    routes: tuple[Way, ...]
    unrest: Mapping[str, Unrest]
    look_again: datetime | None = None
    budget: budgets.Finding | None = None
    """None where there is no budget."""


def of_system(
    spec: AgentSystemSpec,
    heard: Heard,
    *,
    reported: Mapping[str, Any],
    unrest: Mapping[str, Unrest],
    now: datetime,
) -> Outlook:
    """Return what is to be reported; `reported` is the status of the last pass."""
    chains = _chains(spec)
    used = {provider for chain in chains.values() for provider in chain}
    names = [provider.name for provider in spec.providers if provider.name in used]
    judge = _Judge(heard, reported, unrest, now)
    findings = [judge.provider(name) for name in names]
    ways = [judge.route(name, chain) for name, chain in chains.items()]
    money = [judge.budget(spec.budget)] if spec.budget else []
    done = [*findings, *ways, *money]
    return Outlook(
        tuple(finding for finding, _, _ in findings),
        tuple(way for way, _, _ in ways),
        {key: past for _, (key, past), _ in done if past != Unrest()},
        min((again for _, _, again in done if again is not None), default=None),
        money[0][0] if money else None,
    )


def judged(statements: Mapping[Statement, int]) -> tuple[ProviderState, str]:
    """Return a provider's state and the reason that most pods give for it.

    Pods that asked it within the last half minute outweigh those that did not; if no pod did, what
    they found last is the best there is. Down takes more than half of them.
    """
    recent = {said: pods for said, pods in statements.items() if said.recent}
    votes = recent or statements
    down = sum(pods for said, pods in votes.items() if said.state is ProviderState.DOWN)
    reasons: Counter[str] = Counter()
    for said, pods in votes.items():
        if said.state is not ProviderState.HEALTHY:
            reasons[said.reason] += pods
    if not votes:
        return ProviderState.UNKNOWN, ""
    if not reasons:
        return ProviderState.HEALTHY, ""
    reason = min(reasons, key=lambda word: (-reasons[word], word))
    if 2 * down > sum(votes.values()):
        return ProviderState.DOWN, reason
    return ProviderState.IMPAIRED, reason


def chosen(choices: Mapping[Choice, int], chain: Sequence[str]) -> str:
    """Return the provider of the chain that most pods use, the earlier of two equals; "" for none.

    Pods of an older revision may use one that is not of the chain any more.
    """
    votes = {name: pods for name, pods in favourites(choices).items() if name in chain}
    return max(chain, key=lambda name: votes.get(name, 0)) if votes else ""


def favourites(choices: Mapping[Choice, int]) -> Mapping[str, int]:
    """Return how many pods use which provider; those that did of late outweigh the others."""
    recent = {said: pods for said, pods in choices.items() if said.recent}
    votes: Counter[str] = Counter()
    for said, pods in (recent or choices).items():
        votes[said.active] += pods
    return votes


def _chains(spec: AgentSystemSpec) -> Mapping[str, tuple[str, ...]]:
    """Return the providers of each route that an agent uses, or may as its budget runs out."""
    used = {agent.route for agent in spec.agents}
    if spec.budget and spec.budget.degrade_route:
        used.add(spec.budget.degrade_route)
    return {
        route.name: tuple(dict.fromkeys(link.provider for link in route.chain))
        for route in spec.routes
        if route.name in used
    }


@dataclass(frozen=True, slots=True)
class _Judge:
    heard: Heard
    reported: Mapping[str, Any]
    unrest: Mapping[str, Unrest]
    now: datetime

    def provider(self, name: str) -> tuple[Finding, tuple[str, Unrest], datetime | None]:
        before = _finding(name, _entry(self.reported, "providers", name))
        state, reason = judged(self.heard.providers.get(name, {}))
        key = f"provider/{name}"
        past = self.unrest.get(key, Unrest())
        if (again := self._listens_until()) is not None:
            return before or self._new(name, ProviderState.UNKNOWN, ""), (key, past), again
        if before is None or self._is_first_word(before, state, past):
            return self._new(name, state, reason), (key, past), None
        shown = damping.decide(
            shown=_RANK[before.state], heard=_RANK[state], unrest=past, now=self.now
        )
        finding = self._new(name, state, reason) if shown.now else before
        return finding, (key, shown.unrest), shown.look_again

    @staticmethod
    def _is_first_word(before: Finding, state: ProviderState, past: Unrest) -> bool:
        """Say whether nothing was known and nothing has gone wrong: what is heard is news then."""
        unknown = ProviderState.UNKNOWN
        return before.state is unknown and state is not unknown and past == Unrest()

    def route(
        self, name: str, chain: tuple[str, ...]
    ) -> tuple[Way, tuple[str, Unrest], datetime | None]:
        entry = _entry(self.reported, "routes", name)
        before = entry.get("active", "") if entry is not None else None
        active = chosen(self.heard.routes.get(name, {}), chain)
        key = f"route/{name}"
        past = self.unrest.get(key, Unrest())
        if (again := self._listens_until()) is not None:
            active = before if before in chain else ""
            return Way(name, active, chain[0]), (key, past), again
        if before not in chain:  # "" among them: whatever is heard is news
            return Way(name, active, chain[0]), (key, past), None
        shown = damping.decide(
            shown=chain.index(before),
            heard=chain.index(active) if active else len(chain),
            unrest=past,
            now=self.now,
        )
        way = Way(name, active if shown.now else before, chain[0])
        return way, (key, shown.unrest), shown.look_again

    def budget(
        self, declared: Budget
    ) -> tuple[budgets.Finding, tuple[str, Unrest], datetime | None]:
        past = self.unrest.get(budgets.KEY, Unrest())
        if (again := self._listens_until()) is not None:
            before = budgets.as_reported(self.reported, declared)
            unheard = budgets.Finding(BudgetState.UNKNOWN, self.now, declared=declared)
            return before or unheard, (budgets.KEY, past), again
        finding, past, look_again = budgets.of_system(
            declared, self.heard.budget, reported=self.reported, past=past, now=self.now
        )
        return finding, (budgets.KEY, past), look_again

    def _new(self, name: str, state: ProviderState, reason: str) -> Finding:
        return Finding(name, state, self.now, reason)

    def _listens_until(self) -> datetime | None:
        """Return until when silence means nothing; None once it means something."""
        until = self.heard.listening_since + LISTENS
        return until if self.now < until else None


def as_reported(reported: Mapping[str, Any]) -> Outlook:
    """Return what the last status said, for a pass that cannot judge."""
    found = (_finding(str(e.get("name")), e) for e in _entries(reported, "providers"))
    ways = (
        Way(str(e.get("name")), str(e.get("active", "")), str(e.get("active", "")))
        for e in _entries(reported, "routes")
    )
    money = budgets.as_reported(reported, None)
    return Outlook(tuple(each for each in found if each), tuple(ways), {}, budget=money)


def _finding(name: str, entry: Mapping[str, Any] | None) -> Finding | None:
    """Return what was reported, None when it is not what we write."""
    try:
        if entry is None:
            return None
        since = datetime.strptime(str(entry["since"]), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        reason = entry.get("reason", "")
        return Finding(name, _STATES[entry["state"]], since, str(reason))
    except (KeyError, ValueError, TypeError):
        return None


_STATES = {state.value: state for state in ProviderState}


def _entry(reported: Mapping[str, Any], field: str, name: str) -> Mapping[str, Any] | None:
    return next((e for e in _entries(reported, field) if e.get("name") == name), None)


def _entries(reported: Mapping[str, Any], field: str) -> Iterator[Mapping[str, Any]]:
    found = reported.get(field)
    items = found if isinstance(found, list) else []
    return (item for item in items if isinstance(item, Mapping))
