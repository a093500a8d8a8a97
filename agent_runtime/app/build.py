"""Puts the runtime together: the one place that knows every part."""

import functools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from prometheus_client import Gauge

from agent_runtime import upkeep
from agent_runtime.agents.agent import Agent
from agent_runtime.agents.directory import Directory, Sibling
from agent_runtime.agents.private.stage import PrivateAgent
from agent_runtime.app import (
    budgeting,
    caching,
    chat_wire,
    guarding,
    limiters,
    limits,
    measuring,
    protecting,
    quota,
    responses_wire,
    session_store,
    tracing,
)
from agent_runtime.app.admission import Admission
from agent_runtime.app.application import (
    MODELS,
    Application,
    MetricsEndpoint,
    ModelsEndpoint,
    Probes,
)
from agent_runtime.app.arrival import Arrivals
from agent_runtime.app.chat import ChatEndpoint
from agent_runtime.app.config_file import Surroundings
from agent_runtime.app.contract import (
    AgentEntry,
    AnthropicSection,
    Config,
    EndpointSection,
    Link,
    OpenAISection,
    ProviderEntry,
    RouteEntry,
    ScriptedSection,
    SessionsEntry,
)
from agent_runtime.app.contract_guard import GuardEntry
from agent_runtime.app.embeddings import EmbeddingsEndpoint
from agent_runtime.app.forward import Forwarder
from agent_runtime.app.gate import Gate
from agent_runtime.app.reporting import Reporter, Standing
from agent_runtime.app.stores import opened
from agent_runtime.channel.client import Client
from agent_runtime.channel.report import BudgetNow
from agent_runtime.cost import prices
from agent_runtime.cost.accounts import Accounts, Payee
from agent_runtime.cost.economy import Economical
from agent_runtime.cost.keeper import Keeper
from agent_runtime.cost.meter import Metered, Rate
from agent_runtime.memory.base import SessionStore
from agent_runtime.memory.sessions import Sessions
from agent_runtime.observability.genai_metrics import Model
from agent_runtime.observability.metrics import Metrics
from agent_runtime.providers import azure, embedding, script
from agent_runtime.providers.anthropic import Anthropic
from agent_runtime.providers.base import Provider
from agent_runtime.providers.breaker import Breaker, Guarded, State
from agent_runtime.providers.connections import Connections
from agent_runtime.providers.endpoint import Endpoint
from agent_runtime.providers.keys import KeyFile
from agent_runtime.providers.limited import Limited
from agent_runtime.providers.limits import Limiter
from agent_runtime.providers.openai_compatible import OpenAICompatible
from agent_runtime.providers.route import Route
from agent_runtime.providers.scripted import ScriptedProvider
from agent_runtime.providers.traced import Traced
from agent_runtime.providers.watched import Watched
from agent_runtime.stores.redis import Redis


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a server needs to serve."""

    api: Application
    metrics: Application
    admission: Admission
    reporter: Reporter


@asynccontextmanager
async def _channel(
    place: Path | None, reporter: Reporter, workshop: "_Workshop"
) -> AsyncIterator[None]:
    """Keep the channel to the operator open meanwhile, where there may be one."""
    if place is None:
        yield
        return
    client = Client(place, reporter.report)
    workshop.when_a_breaker_moves = client.changed
    async with upkeep.going_on(channel=client.run):
        yield


@asynccontextmanager
async def runtime(config: Config, surroundings: Surroundings) -> AsyncIterator[Runtime]:
    """Hold everything open that a config asks for; raise `StoreUnavailable` if a store cannot."""
    metrics = Metrics()
    entry = config.sessions or session_store.default(surroundings)
    async with opened(config.stores, metrics) as stores:
        store = await session_store.opened(entry, config, surroundings, stores)
        ring = await session_store.key_ring(config, metrics)
        store = session_store.encrypted(store, ring)
        try:
            async with (
                _http() as outside,
                _http(force_close=True) as inside,
                aclosing(Connections()) as providers,
                limiters.opened(config, stores.redis) as limits_of,
                tracing.opened(config, surroundings, outside, metrics) as tracer,
                budgeting.opened(config, entry, surroundings, stores, metrics) as keeper,
            ):
                stale = keeper.may_serve_stale if keeper else None
                cache = caching.around(config, stores.redis, ring, metrics, may_serve_stale=stale)
                workshop = _Workshop(config, providers, metrics, limits_of, cache, keeper)
                await workshop.report_missing_keys()
                guard = config.guard or GuardEntry()
                forwarder = Forwarder(inside, guarding.voucher_of(guard.siblings))
                async with guarding.gate_of(
                    guard.auth, guard.siblings, outside, metrics.guard
                ) as gate:
                    arrivals = Arrivals(tracer, workshop.is_private)
                    parts = _assemble(
                        config, entry, store, workshop, forwarder, gate, arrivals, stores.redis
                    )
                    async with _channel(surroundings.channel, parts.reporter, workshop):
                        yield parts
        finally:
            await store.close()


def _assemble(
    config: Config,
    entry: SessionsEntry,
    store: SessionStore,
    workshop: "_Workshop",
    forwarder: Forwarder,
    gate: Gate | None,
    arrivals: Arrivals,
    redis: Redis | None,
) -> Runtime:
    guard = config.guard or GuardEntry()
    admission = Admission(limit=guard.limits.concurrent_requests)
    metrics = workshop.metrics
    sessions = Sessions(store, config.namespace, config.system) if entry.shared else None
    directory = Directory(
        system=config.system,
        entry=config.entry,
        own=workshop.agents(),
        siblings={s.name: Sibling(s.name, s.url) for s in config.siblings},
    )
    metrics.active_agents.set(len(directory.own))
    accounts = workshop.accounts
    completions, responses = (
        ChatEndpoint(dialect, directory, sessions, forwarder, admission, metrics, accounts)
        for dialect in (chat_wire.Completions(), responses_wire.Responses())
    )
    embeddings = EmbeddingsEndpoint(directory, forwarder, admission, metrics, accounts)
    models, probes = ModelsEndpoint(directory), Probes(admission)
    return Runtime(
        api=Application(
            {
                ("POST", "/v1/chat/completions"): completions,
                ("POST", "/v1/responses"): responses,
                ("POST", "/v1/embeddings"): embeddings,
                ("GET", MODELS): models.all,
                ("GET", "/health"): probes.health,
                ("GET", "/ready"): probes.ready,
            },
            admission,
            below={("GET", f"{MODELS}/"): models.one},
            gate=gate,
            arrivals=arrivals,
            quota=quota.of(
                guard.limits,
                redis,
                admission,
                metrics.guard,
                system=(config.namespace, config.system),
            ),
        ),
        metrics=Application(
            {
                ("GET", "/metrics"): MetricsEndpoint(
                    metrics, admission, workshop.keys, sessions, workshop.accounts
                ),
                ("GET", "/health"): probes.health,
            },
            admission,
        ),
        admission=admission,
        reporter=Reporter(
            workshop.standing(), metrics.load, admission, sessions, budget=workshop.budget_now()
        ),
    )


class _Workshop:
    """Makes providers from their entries; a scripted one is shared, since it counts requests.

    So is the breaker of a provider's model, by all routes that lead there.
    """

    def __init__(
        self,
        config: Config,
        http: Connections,
        metrics: Metrics,
        limits_of: Mapping[str, Limiter],
        cache: Callable[[Provider], Provider],
        keeper: Keeper | None,
    ) -> None:
        self.metrics = metrics
        self.keeper = keeper
        self._cache = cache
        self._limits_of = limits_of
        self.accounts = Accounts(metrics, budget=keeper)
        self._prices = prices.table(budgeting.own_prices(config.budget))
        self.keys: dict[str, KeyFile] = {}
        self._config = config
        self._protection = protecting.protection_of(config.guard, metrics)
        self._http = http
        self._scripted: dict[str, ScriptedProvider] = {}
        self._guarded: dict[tuple[str, str], Guarded] = {}
        self.when_a_breaker_moves: Callable[[], None] = lambda: None
        self._entries = {entry.name: entry for entry in config.providers}
        for entry in config.providers:
            self._prepare(entry)

    def agents(self) -> dict[str, Agent]:
        """Return the agents by name."""
        chains = {entry.name: self._places(entry) for entry in self._config.routes}
        return {
            entry.name: self._agent(entry, self._economical(entry.route, chains))
            for entry in self._config.agents
        }

    def _economical(self, name: str, chains: Mapping[str, Sequence[embedding.Place]]) -> Provider:
        """Return a route that keeps to the budget, if there is one.

        Behind `degradeRoute` stands the agent's own chain: it answers while nothing cheaper can.
        """
        route, budget = _route(chains[name]), self._config.budget
        if self.keeper is None or budget is None:
            return route
        cheaper, keeper = None, self.keeper
        if budget.degrade_route not in (None, name):
            cheaper = _route([*chains[budget.degrade_route], *chains[name]])
        return Economical(route, cheaper, lambda: keeper.last_known)

    def _agent(self, entry: AgentEntry, route: Provider) -> Agent:
        """Return an agent with its stages, the outermost first: people's data, cache, route."""
        if self._protection is None:
            return Agent(entry.name, entry.instructions, self._cache(route))
        return PrivateAgent(
            entry.name, entry.instructions, route, self._protection, around=self._cache
        )

    async def report_missing_keys(self) -> None:
        """Say at once, not with the first request, which keys are missing."""
        for key in self.keys.values():
            await key.is_missing()
        if self._protection is not None:
            await self._protection.key.is_missing()

    def _places(self, entry: RouteEntry) -> Sequence[embedding.Place]:
        return [
            embedding.Place(
                self._provider(link),
                model="" if link.provider in self._scripted else link.model or "",
                embeds=self._entries[link.provider].type != "Anthropic",
            )
            for link in entry.chain
        ]

    def _prepare(self, entry: ProviderEntry) -> None:
        match entry.type:
            case "Scripted":
                answers = (entry.scripted or ScriptedSection()).answers
                parsed = script.parse(answers, path=f"provider {entry.name}")
                self._scripted[entry.name] = ScriptedProvider(entry.name, parsed)
            case "OpenAI" | "Anthropic":
                if key := _section(entry).api_key:
                    path = Path(key.file)
                    self.keys[entry.name] = KeyFile(entry.name, path, origin=key.origin)

    def _provider(self, link: Link) -> Provider:
        """Return a model in all its wrappers, the outermost first.

        Breaker, meter, limit, log, trace.
        """
        model = link.model or ""
        if (link.provider, model) not in self._guarded:
            traced = Traced(self._model(link), self.metrics.genai, *self._measured(link))
            asked: Provider = Watched(link.provider, traced, self.metrics)
            if limiter := self._limits_of.get(link.provider):
                refused = self.metrics.limited(link.provider).inc
                asked = Limited(link.provider, asked, limiter, refused)
            metered = Metered(self._rate(link), asked, self.accounts, self.keeper)
            gauge = self.metrics.breaker(link.provider, model)
            breaker = Breaker(changed=functools.partial(self._moved, gauge))
            self._guarded[link.provider, model] = Guarded(link.provider, metered, breaker)
        return self._guarded[link.provider, model]

    def is_private(self, text: str) -> bool:
        """Return whether a text holds data about people, where that is looked for."""
        return self._protection is not None and any(self._protection.detector.hits(text.encode()))

    def _measured(self, link: Link) -> tuple[Model, Model]:
        entry = self._entries[link.provider]
        section = None if link.provider in self._scripted else _section(entry)
        return measuring.models_of(entry, section, link.model or "")

    def _rate(self, link: Link) -> Rate:
        price = (
            prices.FREE
            if link.provider in self._scripted
            else self._prices.of(link.model or "", link.provider)
        )
        return Rate(Payee(link.provider, link.model or ""), price)

    def _moved(self, gauge: Gauge, state: State) -> None:
        gauge.set(state)
        self.when_a_breaker_moves()

    def budget_now(self) -> Callable[[], BudgetNow] | None:
        """Return what says how the budget is, if there is one."""
        return functools.partial(budgeting.now, self.keeper) if self.keeper else None

    def standing(self) -> Standing:
        """Return how the providers are, for who reports on them."""
        return Standing(self._guarded, self._config.routes, self.keys)

    def _model(self, link: Link) -> Provider:
        if scripted := self._scripted.get(link.provider):
            return scripted
        entry = self._entries[link.provider]
        section = _section(entry)
        endpoint = Endpoint(
            provider=link.provider,
            base_url=section.base_url,
            model=link.model or "",
            timeout_s=section.timeout_seconds,
            headers=section.headers,
        )
        key = self.keys.get(link.provider)
        if isinstance(section, OpenAISection) and section.azure:
            return azure.deployment(endpoint, section.azure.api_version, key, self._http)
        if isinstance(section, AnthropicSection):
            caches = section.prompt_caching
            return Anthropic(endpoint, key, self._http, prompt_caching=caches)
        return OpenAICompatible(endpoint, key, self._http)


def _route(places: Sequence[embedding.Place]) -> Route:
    return Route([place.provider for place in places], embedders=embedding.embedders(places))


def _section(entry: ProviderEntry) -> EndpointSection:
    if entry.type == "Anthropic":
        return entry.anthropic or AnthropicSection.model_validate({})
    return entry.open_ai or OpenAISection.model_validate({})


def _http(*, force_close: bool = False) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=limits.MAX_IN_FLIGHT, force_close=force_close)
    # cookies of one conversation must never travel with another
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
