"""The rules between fields of the spec, each once in Python and once in CEL, side by side.

CEL is written within the apiserver's cost estimate: no .join(), no field access on what filter()
returns, so a culprit is found by mapping to names first.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from agentsystem_operator.api import endpoint_rules, tiers
from agentsystem_operator.api.base import Rule, TransitionRule, cel_string
from agentsystem_operator.api.types import (
    DURATION_PATTERN,
    HOST,
    IPV6,
    ProviderType,
    SessionStore,
    Tier,
    timedelta_of,
)

if TYPE_CHECKING:
    from agentsystem_operator.api.spec import Agent, AgentSystemSpec, Provider, Route


def _first(names: Iterable[str]) -> str | None:
    return next(iter(names), None)


def between(attribute: str, least: str, most: str, *, field: str = "") -> Rule:
    """Return the rule that keeps a duration within bounds that are durations themselves.

    `field` is the attribute's name in the API, where that is another.
    """
    field = field or attribute

    def broken(model: object) -> str | None:
        length = timedelta_of(getattr(model, attribute))
        return None if timedelta_of(least) <= length <= timedelta_of(most) else ""

    # CEL runs even when the pattern is not met, and duration() of such a text is an error.
    cel = f"duration(self.{field})"
    return Rule(
        field=field,
        message=f"must be between {least} and {most}",
        cel=(
            f"!self.{field}.matches({cel_string(DURATION_PATTERN)}) ||"
            f" ({cel} >= duration('{least}') && {cel} <= duration('{most}'))"
        ),
        broken=broken,
    )


_PORT = (
    "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9][0-9]|6[0-4][0-9][0-9][0-9]|[1-5][0-9][0-9][0-9][0-9]"
    "|[1-9][0-9]{0,3})"
)
_HOST = f"({HOST}|\\[({IPV6})\\])"
BASE_URL_PATTERN = f"^https?://{_HOST}(:{_PORT})?(/[-a-zA-Z0-9._~%+:@]*)*$"


def _endpoint(example: str) -> tuple[Rule, ...]:
    """Return the rules of the settings of a model endpoint."""
    return (
        Rule(
            field="baseURL",
            message=(
                "must be http(s)://host[:port][/path] without user, query or fragment;"
                f" for example {example}"
            ),
            cel=f"self.baseURL.matches({cel_string(BASE_URL_PATTERN)})",
            broken=lambda e: None if re.fullmatch(BASE_URL_PATTERN, e.base_url) else "",
        ),
        between("timeout", "100ms", "10m"),
        *endpoint_rules.HEADERS,
    )


OPENAI = (*_endpoint(endpoint_rules.OPENAI_URL), *endpoint_rules.AZURE)
ANTHROPIC = _endpoint("https://api.anthropic.com/v1")


def _section(field: str, of: ProviderType, *, required: bool = True) -> Iterator[Rule]:
    """Yield the rules that keep a provider's section and its type together."""
    attribute = {"openAI": "open_ai"}.get(field, field)

    def section(provider: "Provider") -> object:
        return getattr(provider, attribute)

    if required:
        yield Rule(
            field=field,
            message=f"is required with type {of}; add it or set type: Scripted",
            cel=f"self.type != '{of}' || has(self.{field})",
            broken=lambda p: "" if p.type is of and section(p) is None else None,
        )
    yield Rule(
        field=field,
        message=f"is only for type {of}; remove it or set type: {of}",
        cel=f"self.type == '{of}' || !has(self.{field})",
        broken=lambda p: "" if p.type is not of and section(p) else None,
    )


PROVIDER = (
    *_section("openAI", ProviderType.OPENAI),
    *_section("anthropic", ProviderType.ANTHROPIC),
    *_section("scripted", ProviderType.SCRIPTED, required=False),
)

AGENT = (
    Rule(
        field="instructionsFrom",
        message="is not allowed together with instructions; remove one of them",
        cel="!(has(self.instructions) && has(self.instructionsFrom))",
        broken=lambda agent: (
            "" if agent.instructions is not None and agent.instructions_from else None
        ),
    ),
)

SESSIONS = (
    Rule(
        field="sqlite",
        message="is only for store SQLite; remove it or set store: SQLite",
        cel="self.store == 'SQLite' || !has(self.sqlite)",
        broken=lambda s: "" if s.store is not SessionStore.SQLITE and s.sqlite else None,
    ),
    between("ttl", "1s", "8760h"),
)


def _unknown_route(spec: "AgentSystemSpec") -> str | None:
    known = {route.name for route in spec.routes}
    return _first(agent.route for agent in spec.agents if agent.route not in known)


def _unknown_provider(spec: "AgentSystemSpec") -> str | None:
    known = {provider.name for provider in spec.providers}

    def asks_another(route: "Route") -> bool:
        return any(target.provider not in known for target in route.chain)

    return _first(route.name for route in spec.routes if asks_another(route))


def _without_model(spec: "AgentSystemSpec") -> str | None:
    need_one = {p.name for p in spec.providers if p.type is not ProviderType.SCRIPTED}

    def lacks_model(route: "Route") -> bool:
        return any(t.model is None and t.provider in need_one for t in route.chain)

    return _first(route.name for route in spec.routes if lacks_model(route))


def _unknown_entry(spec: "AgentSystemSpec") -> str | None:
    entry = spec.workflow.entry
    return entry if entry and entry not in {agent.name for agent in spec.agents} else None


def _shares_a_file(spec: "AgentSystemSpec") -> str | None:
    if spec.sessions(tiers.TABLE[spec.tier]).store is not SessionStore.SQLITE:
        return None

    def many(agent: "Agent") -> bool:
        return agent.replicas is not None and agent.replicas > 1

    return _first(agent.name for agent in spec.agents if many(agent))


def _in_tiers(wanted: Callable[[tiers.TierDefaults], bool], *, of: str = "self") -> str:
    """Return the CEL expression that is true in the tiers that are wanted."""
    names = ", ".join(f"'{tier}'" for tier in Tier if wanted(tiers.TABLE[tier]))
    return f"({of}.tier in [{names}])"


def _store(of: str) -> str:
    """Return the CEL expression of the store that a spec uses."""
    by_default = _in_tiers(lambda defaults: defaults.store is SessionStore.SQLITE, of=of)
    return f"{of}.?memory.?sessions.?store.orValue({by_default} ? 'SQLite' : 'Memory')"


def _same(field: str, default: str) -> str:
    """Return the CEL expression that a field of sqlite, or its default, is as it was.

    Written with has(), since the cost of comparing two optional values is estimated as endless.
    """
    values = []
    for of in ("self", "oldSelf"):
        path = f"{of}.memory.sessions.sqlite.{field}"
        steps = path.split(".")
        given = " && ".join(f"has({'.'.join(steps[:end])})" for end in range(2, len(steps) + 1))
        values.append(f"({given} ? {path} : '{default}')")
    return " == ".join(values)


def _needs(server: str, store: SessionStore) -> Rule:
    """Return the rule that a store of sessions which is a server is declared."""

    def broken(spec: "AgentSystemSpec") -> str | None:
        stated = spec.memory.sessions
        is_used = stated is not None and stated.store is store
        return "" if is_used and getattr(spec.stores, server) is None else None

    return Rule(
        field=f"stores.{server}",
        message=f"is required with spec.memory.sessions.store: {store}; say where the server is",
        cel=(
            f"self.?memory.?sessions.?store.orValue('') != '{store}' ||"
            f" self.?stores.?{server}.hasValue()"
        ),
        broken=broken,
    )


_STATE_SESSIONS = _in_tiers(lambda defaults: defaults.store is None)
_ALL_KNOWN = "r.chain.all(t, t.provider in self.providers.map(p, p.name))"
_NEED_MODEL = "self.providers.filter(p, p.type != 'Scripted').map(p, p.name)"
_ALL_WITH_MODEL = f"r.chain.all(t, has(t.model) || !(t.provider in {_NEED_MODEL}))"

SPEC = (
    Rule(
        field="agents",
        message="unknown route: {culprit}; declare it in spec.routes",
        cel="self.agents.all(a, a.route in self.routes.map(r, r.name))",
        broken=_unknown_route,
        cel_culprit=(
            "self.agents.map(a, a.route).filter(x, !(x in self.routes.map(r, r.name)))[0]"
        ),
    ),
    Rule(
        field="routes",
        message="unknown provider in route: {culprit}; declare it in spec.providers",
        cel=f"self.routes.all(r, {_ALL_KNOWN})",
        broken=_unknown_provider,
        cel_culprit=f"self.routes.map(r, {_ALL_KNOWN} ? '' : r.name).filter(x, x != '')[0]",
    ),
    Rule(
        field="routes",
        message=(
            "a provider that is not Scripted needs a model in route: {culprit}; add chain[].model"
        ),
        cel=f"self.routes.all(r, {_ALL_WITH_MODEL})",
        broken=_without_model,
        cel_culprit=f"self.routes.map(r, {_ALL_WITH_MODEL} ? '' : r.name).filter(x, x != '')[0]",
    ),
    Rule(
        field="workflow.entry",
        message="is required with more than one agent; set it to the name of one of spec.agents",
        cel="self.agents.size() <= 1 || self.?workflow.?entry.hasValue()",
        broken=lambda spec: "" if len(spec.agents) > 1 and spec.workflow.entry is None else None,
    ),
    Rule(
        field="workflow.entry",
        message="unknown agent: {culprit}; declare it in spec.agents or name another",
        cel=(
            "!self.?workflow.?entry.hasValue() ||"
            " self.agents.exists(a, a.name == self.workflow.entry)"
        ),
        broken=_unknown_entry,
        cel_culprit="self.workflow.entry",
    ),
    Rule(
        field="agents",
        message=(
            "store SQLite allows one replica per agent: {culprit}; lower its replicas to 1"
            " or set spec.memory.sessions.store: Memory"
        ),
        cel=(
            f"{_store('self')} != 'SQLite' ||"
            " self.agents.all(a, !has(a.replicas) || a.replicas <= 1)"
        ),
        broken=_shares_a_file,
        cel_culprit=(
            "self.agents.map(a, has(a.replicas) && a.replicas > 1 ? a.name : '')"
            ".filter(x, x != '')[0]"
        ),
    ),
    Rule(
        field="memory.sessions",
        message="must be stated in tiers Staging and Production; set spec.memory.sessions.store",
        cel=f"!{_STATE_SESSIONS} || self.?memory.?sessions.hasValue()",
        broken=lambda spec: (
            "" if tiers.TABLE[spec.tier].store is None and spec.memory.sessions is None else None
        ),
    ),
    _needs("redis", SessionStore.REDIS),
    _needs("postgres", SessionStore.POSTGRES),
)

# A claim outlives the system and is never resized or replaced by the operator: accepting another
# size or class would be a promise that nobody keeps.
SPEC_TRANSITIONS = (
    TransitionRule(
        field="memory.sessions.sqlite",
        message=(
            "size and storageClassName are fixed while the store is SQLite; to migrate set store:"
            " Memory, copy or delete the PersistentVolumeClaims <system>--<agent>, then set store:"
            " SQLite with the new values"
        ),
        cel=(
            f"{_store('oldSelf')} != 'SQLite' || {_store('self')} != 'SQLite' ||"
            f" ({_same('size', '1Gi')} && {_same('storageClassName', '')})"
        ),
    ),
)
