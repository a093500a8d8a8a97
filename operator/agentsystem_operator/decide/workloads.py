"""What each agent has to run: the spec, the texts it refers to and the defaults it is held to.

Imported by plan, status and the engine. This is where a field of the YAML meets its default; what
is built from a workload needs nothing else.

Which defaults those are, today's or pinned ones, is told in `pins`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentsystem_operator.api.budget import Budget
from agentsystem_operator.api.cache import Cache
from agentsystem_operator.api.guard import Auth, Guard
from agentsystem_operator.api.kubernetes import EnvVar, ResourceRequirements
from agentsystem_operator.api.monitoring import Otlp
from agentsystem_operator.api.spec import (
    Agent,
    AgentSystemSpec,
    Network,
    Provider,
    Route,
    Runtime,
    Sessions,
)
from agentsystem_operator.api.stores import Stores
from agentsystem_operator.api.tiers import TierDefaults
from agentsystem_operator.api.types import SessionStore
from agentsystem_operator.decide import pins, stores
from agentsystem_operator.decide.pins import Defaults, Given, HeldBack
from agentsystem_operator.decide.references import Texts
from agentsystem_operator.model import hashing
from agentsystem_operator.model.observed import Pin
from agentsystem_operator.model.references import SystemKey


@dataclass(frozen=True, slots=True)
class Owner:
    """The AgentSystem that children belong to."""

    key: SystemKey
    uid: str


@dataclass(frozen=True, slots=True)
class Workload:
    """Everything that an agent's children are built from."""

    owner: Owner
    agent: Agent
    index: int
    """Position in spec.agents, for paths in messages."""
    is_entry: bool
    siblings: tuple[str, ...]
    """The other agents; known to the entry only, so that adding one rolls no other."""
    route: Route
    budget: Budget | None
    """With the prices of what the agent may ask."""
    cheaper: Route | None
    """The route that is used instead as the budget runs out, where that is another one."""
    providers: tuple[Provider, ...]
    """Those of the routes' chains, each once, in order of first use."""
    instructions: str
    answers: Mapping[str, str]
    """Scripts of those providers that take one from a ConfigMap."""
    sessions: Sessions
    stores: Stores
    """The servers that the agent's pods use."""
    runtime: Runtime
    network: Network
    guard: Guard
    cache: Cache | None
    auth: Auth | None
    """How callers are known; None where nobody is asked."""
    otlp: Otlp | None
    """Where traces go; None where nothing is traced."""
    has_siblings: bool
    image: str
    defaults: TierDefaults
    replicas: int
    template: int
    """Version of the pod template to render with."""
    declared: Mapping[str, Any]
    """What the user said that reaches this agent's pods."""
    held_back: tuple[HeldBack, ...]
    """What this agent would be given anew if it changed now."""

    @property
    def keeps_sessions_on_disk(self) -> bool:
        """Whether the agent has a volume, and so at most one pod at a time."""
        return self.sessions.store is SessionStore.SQLITE

    @property
    def shares_sessions(self) -> bool:
        """Whether every pod of the agent knows every session."""
        return self.sessions.store is not SessionStore.MEMORY or self.replicas <= 1

    @property
    def vouches(self) -> bool:
        """Whether the agent passes requests on to siblings that want to know who asks."""
        return self.auth is not None and bool(self.siblings)

    @property
    def believes(self) -> bool:
        """Whether the entry passes requests on to the agent, and tells it who asks."""
        return self.auth is not None and self.has_siblings and not self.is_entry

    @property
    def lets_in(self) -> bool:
        """Whether the agent's pods hold requests against the limits of callers.

        The entry's do, and those that can tell what the entry has let in already.
        """
        return self.is_entry or self.auth is not None

    @property
    def env(self) -> tuple[EnvVar, ...]:
        """Declared variables: the agent's over the system's, each name once."""
        return tuple({var.name: var for var in (*self.runtime.env, *self.agent.env)}.values())

    @property
    def resources(self) -> ResourceRequirements | None:
        """Declared resources: the agent's as a whole, else the system's."""
        return self.agent.resources or self.runtime.resources

    @property
    def path(self) -> str:
        """The agent's place in the resource."""
        return f"spec.agents[{self.index}]"

    def pin(self, revision: str) -> Pin:
        """Return what is to be remembered of rendering this agent as `revision`."""
        return Pin(
            declared=hashing.of(self.declared),
            revision=revision,
            template=self.template,
            image=self.image,
            defaults=pins.recorded(self.defaults),
        )


def of_system(
    spec: AgentSystemSpec,
    texts: Texts,
    *,
    owner: Owner,
    pinned: Mapping[str, Pin],
    defaults: Defaults,
) -> tuple[Workload, ...]:
    """Return one workload per agent, in the order of the spec."""
    return tuple(
        _of_agent(spec, index, texts, owner=owner, pin=pinned.get(agent.name), defaults=defaults)
        for index, agent in enumerate(spec.agents)
    )


def _of_agent(
    spec: AgentSystemSpec,
    index: int,
    texts: Texts,
    *,
    owner: Owner,
    pin: Pin | None,
    defaults: Defaults,
) -> Workload:
    agent = spec.agents[index]
    route = _route(spec, agent.route)
    cheaper = _cheaper(spec, agent)
    providers = _asked(spec, (route, cheaper) if cheaper else (route,))
    said = _Said(
        budget=_budget(spec, route, cheaper),
        cheaper=cheaper,
        siblings=_siblings(spec, agent),
        instructions=_instructions(agent, texts),
        answers=_answers(providers, texts),
    )
    declared = _declared(spec, agent, route, providers, said)
    held = pins.held_to(pin, hashing.of(declared), spec.tier, defaults)
    table = held.tiers[spec.tier]
    given = _given(spec, agent, held)
    sessions = spec.sessions(table)
    return Workload(
        owner=owner,
        agent=agent,
        index=index,
        is_entry=agent.name == spec.entry,
        siblings=said.siblings,
        route=route,
        budget=said.budget,
        cheaper=cheaper,
        providers=providers,
        instructions=said.instructions,
        answers=said.answers,
        sessions=sessions,
        stores=_stores(spec, agent, providers),
        runtime=spec.runtime,
        network=spec.network,
        guard=spec.guard,
        cache=spec.cache,
        auth=spec.auth,
        otlp=spec.monitoring.otlp,
        has_siblings=len(spec.agents) > 1,
        image=given.image,
        defaults=table,
        replicas=given.replicas,
        template=held.template,
        declared=declared,
        held_back=pins.held_back(given, _given(spec, agent, defaults)),
    )


def _given(spec: AgentSystemSpec, agent: Agent, defaults: Defaults) -> Given:
    """Return what those defaults give to an agent, where the spec states nothing else."""
    table = defaults.tiers[spec.tier]
    return Given(
        image=spec.runtime.image or defaults.image,
        template=defaults.template,
        replicas=spec.replicas(agent, table),
        store=spec.sessions(table).store,
        pre_stop=table.pre_stop,
        spread_required=table.spread_required,
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """What a workload says that does not stand in the agent's own part of the spec."""

    budget: Budget | None
    cheaper: Route | None
    siblings: tuple[str, ...]
    instructions: str
    answers: Mapping[str, str]


def _declared(
    spec: AgentSystemSpec,
    agent: Agent,
    route: Route,
    providers: tuple[Provider, ...],
    said: _Said,
) -> Mapping[str, Any]:
    """Return all that the user said and that reaches this agent's pods, defaults left out."""
    sessions = spec.memory.sessions
    guard = _guard(spec, agent)
    shared = _stores(spec, agent, providers).stated()
    return {
        # only where there are any, or every system would seem to have been changed
        **({"stores": shared} if shared else {}),
        "tier": spec.tier.value,
        "runtime": spec.runtime.stated(),
        "agent": _without(agent.stated(), "replicas", "instructions", "instructionsFrom"),
        "instructions": said.instructions,
        "route": route.stated(),
        "providers": [_without(provider.stated(), "scripted") for provider in providers],
        "answers": dict(said.answers),
        "sessions": sessions.stated() if sessions else None,
        "siblings": list(said.siblings),
        # what came later is here only where it is used: the hash of others stays what it was
        **({"guard": guard} if guard else {}),
        **({"budget": said.budget.stated()} if said.budget else {}),
        **({"cheaper": said.cheaper.stated()} if said.cheaper else {}),
        **({"cache": spec.cache.stated()} if spec.cache else {}),
        **({"monitoring": monitoring} if (monitoring := spec.monitoring.stated()) else {}),
    }


def _stores(spec: AgentSystemSpec, agent: Agent, providers: Iterable[Provider]) -> Stores:
    sessions, counts = spec.memory.sessions, _counts(spec, agent)
    shared = counts or spec.budget is not None
    return stores.used(spec.stores, sessions, providers, cache=spec.cache, counts=shared)


def _counts(spec: AgentSystemSpec, agent: Agent) -> bool:
    """Return whether the agent's pods count requests (`Workload.lets_in`), and there are limits."""
    lets_in = agent.name == spec.entry or spec.auth is not None
    return lets_in and spec.guard.limits is not None and spec.guard.limits.counts_requests


def _guard(spec: AgentSystemSpec, agent: Agent) -> Mapping[str, Any]:
    # that nobody is asked counts as nothing said
    stated = _without(spec.guard.stated(), *(() if spec.auth else ("auth",)))
    limits = spec.guard.limits
    if limits is None or _counts(spec, agent):
        return stated
    of_pod = limits.of_pod().stated()  # nothing: what is counted elsewhere does not concern it
    return {**stated, "limits": of_pod} if of_pod else _without(stated, "limits")


def _siblings(spec: AgentSystemSpec, agent: Agent) -> tuple[str, ...]:
    if agent.name != spec.entry:
        return ()
    # Sorted, so that another order in the spec rolls nobody.
    return tuple(sorted(other.name for other in spec.agents if other.name != agent.name))


def _route(spec: AgentSystemSpec, name: str) -> Route:
    return next(route for route in spec.routes if route.name == name)


def _cheaper(spec: AgentSystemSpec, agent: Agent) -> Route | None:
    name = spec.budget and spec.budget.degrade_route
    return _route(spec, name) if name and name != agent.route else None


def _asked(spec: AgentSystemSpec, routes: Iterable[Route]) -> tuple[Provider, ...]:
    by_name = {provider.name: provider for provider in spec.providers}
    names = dict.fromkeys(target.provider for route in routes for target in route.chain)
    return tuple(by_name[name] for name in names)


def _budget(spec: AgentSystemSpec, route: Route, cheaper: Route | None) -> Budget | None:
    """Return the budget without prices of what the agent never asks: those roll no pod of it."""
    if spec.budget is None:
        return None
    chains = (*route.chain, *(cheaper.chain if cheaper else ()))
    asked = {(target.provider, target.model) for target in chains}
    prices = tuple(p for p in spec.budget.prices if (p.provider, p.model) in asked)
    return spec.budget.model_copy(update={"prices": prices})


def _instructions(agent: Agent, texts: Texts) -> str:
    if agent.instructions_from is None:
        return agent.instructions or ""
    ref = agent.instructions_from.config_map_key_ref
    return texts[ref.name, ref.key]


def _answers(providers: tuple[Provider, ...], texts: Texts) -> Mapping[str, str]:
    refs = {p.name: p.scripted.config_map_key_ref for p in providers if p.scripted}
    return {name: texts[ref.name, ref.key] for name, ref in refs.items() if ref}


def _without(body: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in fields}
