"""Puts the runtime together: the one place that knows every part."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from agent_runtime.agents.agent import Agent
from agent_runtime.agents.directory import Directory, Sibling
from agent_runtime.app import limits
from agent_runtime.app.admission import Admission
from agent_runtime.app.application import (
    MODELS,
    Application,
    MetricsEndpoint,
    ModelsEndpoint,
    Probes,
)
from agent_runtime.app.chat import ChatEndpoint
from agent_runtime.app.config_file import Surroundings
from agent_runtime.app.contract import (
    AnthropicSection,
    Config,
    EndpointSection,
    Link,
    OpenAISection,
    ProviderEntry,
    ScriptedSection,
    SessionsEntry,
)
from agent_runtime.app.forward import Forwarder
from agent_runtime.app.stores import opened
from agent_runtime.cost import prices
from agent_runtime.cost.accounts import Accounts, Payee
from agent_runtime.cost.meter import Metered, Rate
from agent_runtime.memory.base import Retention, SessionStore
from agent_runtime.memory.in_process import MemoryStore
from agent_runtime.memory.sessions import Sessions
from agent_runtime.memory.sqlite import open_store
from agent_runtime.observability.metrics import Metrics
from agent_runtime.providers import script
from agent_runtime.providers.anthropic import Anthropic
from agent_runtime.providers.base import Provider
from agent_runtime.providers.breaker import Breaker, Guarded
from agent_runtime.providers.endpoint import Endpoint
from agent_runtime.providers.keys import KeyFile
from agent_runtime.providers.openai_compatible import OpenAICompatible
from agent_runtime.providers.route import Route
from agent_runtime.providers.scripted import ScriptedProvider
from agent_runtime.providers.watched import Watched

_MEMORY_BYTES = 64 << 20  # for sessions in memory; a pod is small


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a server needs to serve."""

    api: Application
    metrics: Application
    admission: Admission


@asynccontextmanager
async def runtime(config: Config, surroundings: Surroundings) -> AsyncIterator[Runtime]:
    """Hold everything open that a config asks for; raise `StoreUnavailable` if a store cannot."""
    metrics = Metrics()
    entry = config.sessions or _default_sessions(surroundings)
    async with opened(config.stores, metrics):
        store = await _open_store(entry, config, surroundings)
        try:
            async with _http() as outside, _http(force_close=True) as inside:
                workshop = _Workshop(config, outside, metrics)
                await workshop.report_missing_keys()
                yield _assemble(config, entry, store, workshop, Forwarder(inside))
        finally:
            await store.close()


def _assemble(
    config: Config,
    entry: SessionsEntry,
    store: SessionStore,
    workshop: "_Workshop",
    forwarder: Forwarder,
) -> Runtime:
    admission, metrics = Admission(), workshop.metrics
    sessions = Sessions(store, config.namespace, config.system) if entry.shared else None
    directory = Directory(
        system=config.system,
        entry=config.entry,
        own=workshop.agents(),
        siblings={s.name: Sibling(s.name, s.url) for s in config.siblings},
    )
    metrics.active_agents.set(len(directory.own))
    chat = ChatEndpoint(directory, sessions, forwarder, admission, metrics, workshop.accounts)
    models, probes = ModelsEndpoint(directory), Probes(admission)
    return Runtime(
        api=Application(
            {
                ("POST", "/v1/chat/completions"): chat,
                ("GET", MODELS): models.all,
                ("GET", "/health"): probes.health,
                ("GET", "/ready"): probes.ready,
            },
            admission,
            below={("GET", f"{MODELS}/"): models.one},
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
    )


class _Workshop:
    """Makes providers from their entries; a scripted one is shared, since it counts requests.

    So is the breaker of a provider's model, by all routes that lead there.
    """

    def __init__(self, config: Config, http: aiohttp.ClientSession, metrics: Metrics) -> None:
        self.metrics = metrics
        self.accounts = Accounts(metrics)
        self._prices = prices.table()
        self.keys: dict[str, KeyFile] = {}
        self._config = config
        self._http = http
        self._scripted: dict[str, ScriptedProvider] = {}
        self._guarded: dict[tuple[str, str], Guarded] = {}
        self._entries = {entry.name: entry for entry in config.providers}
        for entry in config.providers:
            self._prepare(entry)

    def agents(self) -> dict[str, Agent]:
        """Return the agents by name."""
        routes = {
            entry.name: Route([self._provider(link) for link in entry.chain])
            for entry in self._config.routes
        }
        return {
            entry.name: Agent(entry.name, entry.instructions, routes[entry.route])
            for entry in self._config.agents
        }

    async def report_missing_keys(self) -> None:
        """Say at once, not with the first request, which keys are missing."""
        for key in self.keys.values():
            await key.is_missing()

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
        """Return a model with all its wrappers, the outermost first: breaker, meter, log."""
        model = link.model or ""
        if (link.provider, model) not in self._guarded:
            watched = Watched(link.provider, self._model(link), self.metrics)
            metered = Metered(self._rate(link), watched, self.accounts)
            gauge = self.metrics.breaker(link.provider, model)
            breaker = Breaker(changed=gauge.set)
            self._guarded[link.provider, model] = Guarded(link.provider, metered, breaker)
        return self._guarded[link.provider, model]

    def _rate(self, link: Link) -> Rate:
        price = (
            prices.FREE if link.provider in self._scripted else self._prices.of(link.model or "")
        )
        return Rate(Payee(link.provider, link.model or ""), price)

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
        )
        speaks = Anthropic if entry.type == "Anthropic" else OpenAICompatible
        return speaks(endpoint, self.keys.get(link.provider), self._http)


def _section(entry: ProviderEntry) -> EndpointSection:
    if entry.type == "Anthropic":
        return entry.anthropic or AnthropicSection.model_validate({})
    return entry.open_ai or OpenAISection.model_validate({})


def _default_sessions(surroundings: Surroundings) -> SessionsEntry:
    # a laptop keeps its conversations; a pod has no disk unless it was given one
    store = "Memory" if surroundings.in_cluster else "SQLite"
    return SessionsEntry.model_validate({"store": store})


async def _open_store(
    entry: SessionsEntry, config: Config, surroundings: Surroundings
) -> SessionStore:
    if entry.store == "Memory":
        return MemoryStore(Retention(entry.ttl_seconds, entry.max_turns, max_bytes=_MEMORY_BYTES))
    default = surroundings.state_home / "agentsystem" / config.namespace / config.system
    path = Path(entry.path) if entry.path else default / "sessions.db"
    return await open_store(path, Retention(entry.ttl_seconds, entry.max_turns))


def _http(*, force_close: bool = False) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=limits.MAX_IN_FLIGHT, force_close=force_close)
    # cookies of one conversation must never travel with another
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
