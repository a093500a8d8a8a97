"""The rendered config: the contract between operator and runtime (`config/contract/`).

Additive and versioned; a key is only ever added. Rendered once per agent for the cluster, or once
for all agents of a system for a laptop. Holds no secret, only the paths where keys are mounted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from agentsystem_operator.api.budget import Budget
from agentsystem_operator.api.cache import Cache
from agentsystem_operator.api.guard import Guard
from agentsystem_operator.api.spec import (
    Agent,
    AgentSystemSpec,
    Anthropic,
    OpenAI,
    Provider,
    Route,
    Sessions,
)
from agentsystem_operator.api.stores import Stores
from agentsystem_operator.api.types import SessionStore, timedelta_of
from agentsystem_operator.decide.pins import Defaults
from agentsystem_operator.decide.references import Texts
from agentsystem_operator.decide.workloads import Owner, Workload, of_system
from agentsystem_operator.model import names
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.plan import guard, monitoring_config, pii_config

CONTRACT = "v1.0"
NEWER = {
    "anthropic": "v1.1",
    "endpoint": "v1.1",
    "stores": "v1.1",
    "guard": "v1.1",
    "budget": "v1.1",
    "cache": "v1.1",
    "monitoring": "v1.1",
}
"""The minor with which a key came: a config names the lowest that has all it uses, so that a newer
contract rolls nobody who does not use it."""
FILE = "config.json"
MAX_BYTES = 1 << 20
"""What all rendered configs of a system may add up to; one ConfigMap holds no more either."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the process that reads the config finds its files."""

    keys: str
    """Directory with one directory per provider, which holds the file `key`."""
    sessions: str
    """The database of store SQLite."""
    stores: str
    """Directory with one directory per shared server, which holds the file `password`."""
    encryption: str
    """The file of keys that sessions are encrypted with."""


IN_POD = Places(
    keys="/etc/agentsystem/keys",
    sessions="/var/lib/agentsystem/sessions.db",
    stores="/etc/agentsystem/stores",
    encryption="/etc/agentsystem/guard/encryption/keys",
)
ON_LAPTOP = Places(
    keys="keys", sessions="sessions.db", stores="stores", encryption="encryption-keys"
)


def of_workload(workload: Workload) -> dict[str, Any]:
    """Return the config of one agent's pods."""
    key = workload.owner.key
    siblings = [
        {"name": name, "url": f"http://{names.service_host(key, name)}:{names.HTTP_PORT}"}
        for name in workload.siblings
    ]
    return {
        "contract": _contract(workload.providers, workload),
        "namespace": key.namespace,
        "system": key.name,
        # Who answers here when a request names no agent. Naming the system's entry in every config
        # would roll all agents whenever the entry moves.
        "entry": workload.agent.name,
        "agents": [_agent(workload.agent, workload.instructions)],
        "siblings": siblings,
        "routes": [_route(route) for route in (workload.route, workload.cheaper) if route],
        "providers": _providers(workload.providers, workload.answers, IN_POD),
        "sessions": _sessions(workload.sessions, IN_POD, shared=workload.shares_sessions),
        **_stores(workload.stores, IN_POD),
        **_guard(guard.config_of(workload), workload.guard, IN_POD),
        **_budget(workload.budget),
        **_cache(workload.cache),
        **monitoring_config.of_otlp(workload.otlp, IN_POD.keys),
    }


def render_config(
    spec: AgentSystemSpec,
    texts: Texts,
    *,
    key: SystemKey,
    defaults: Defaults,
    places: Places = ON_LAPTOP,
) -> dict[str, Any]:
    """Return one config with every agent of the system, to be served by a single process."""
    workloads = of_system(spec, texts, owner=Owner(key, ""), pinned={}, defaults=defaults)
    routes = {r.name: r for w in workloads for r in (w.route, w.cheaper) if r}
    providers = {p.name: p for w in workloads for p in w.providers}
    answers = {name: text for w in workloads for name, text in w.answers.items()}
    # they differ in nothing else than whether their providers' limits are kept in Redis
    shares = max(workloads, key=lambda w: w.stores.redis is not None)
    return {
        "contract": _contract(providers.values(), shares),
        "namespace": key.namespace,
        "system": key.name,
        "entry": spec.entry,
        "agents": [_agent(w.agent, w.instructions) for w in workloads],
        "siblings": [],
        "routes": [_route(route) for route in routes.values()],
        "providers": _providers(providers.values(), answers, places),
        "sessions": _sessions(workloads[0].sessions, places, shared=True),
        **_stores(shares.stores, places),
        **_guard(guard.config_on_laptop(spec), spec.guard, places),
        **_budget(spec.budget),
        **_cache(spec.cache),
        **monitoring_config.of_otlp(spec.monitoring.otlp, places.keys),
    }


def as_text(config: Mapping[str, Any]) -> str:
    """Return the config as it stands in the file."""
    return orjson.dumps(config, option=orjson.OPT_INDENT_2).decode()


def _contract(providers: Iterable[Provider], workload: Workload) -> str:
    providers = list(providers)
    used = {
        "anthropic": any(provider.anthropic for provider in providers),
        "endpoint": any(map(_is_special, providers)),
        "stores": workload.stores != Stores(),
        "guard": bool(guard.config_of(workload) or workload.guard.encryption or workload.guard.pii),
        "budget": workload.budget is not None,
        "cache": workload.cache is not None,
        "monitoring": workload.otlp is not None,
    }
    return max((NEWER[key] for key, is_used in used.items() if is_used), default=CONTRACT)


def _is_special(provider: Provider) -> bool:
    """Return whether an endpoint has more than address, timeout and key."""
    endpoint, azure = provider.endpoint, provider.open_ai and provider.open_ai.azure
    return bool(azure or (endpoint and (endpoint.headers or endpoint.limits)))


def _agent(agent: Agent, instructions: str) -> dict[str, Any]:
    return {"name": agent.name, "route": agent.route, "instructions": instructions}


def _route(route: Route) -> dict[str, Any]:
    return {"name": route.name, "chain": [target.body() for target in route.chain]}


def _providers(
    providers: Iterable[Provider], answers: Mapping[str, str], places: Places
) -> list[dict[str, Any]]:
    return [_provider(provider, answers, places) for provider in providers]


def _provider(provider: Provider, answers: Mapping[str, str], places: Places) -> dict[str, Any]:
    body: dict[str, Any] = {"name": provider.name, "type": provider.type.value}
    for section, settings in (("openAI", provider.open_ai), ("anthropic", provider.anthropic)):
        if settings is not None:
            return {**body, section: _endpoint(provider.name, settings, places)}
    script = {"answers": answers[provider.name]} if provider.name in answers else {}
    return {**body, "scripted": script}


def _endpoint(name: str, settings: OpenAI | Anthropic, places: Places) -> dict[str, Any]:
    body: dict[str, Any] = {
        "baseURL": settings.base_url,
        "timeoutSeconds": timedelta_of(settings.timeout).total_seconds(),
    }
    ref = settings.api_key_secret_ref
    if ref is not None:
        file = f"{places.keys}/{name}/key"
        body["apiKey"] = {"file": file, "secretName": ref.name, "secretKey": ref.key}
    if settings.headers:
        body["headers"] = dict(settings.headers)
    if isinstance(settings, OpenAI) and settings.azure:
        body["azure"] = {"apiVersion": settings.azure.api_version}
    if isinstance(settings, Anthropic) and not settings.prompt_caching:
        body["promptCaching"] = False
    if settings.limits:
        body["limits"] = settings.limits.body()
    return body


def _stores(stores: Stores, places: Places) -> dict[str, Any]:
    """Return the section `stores`, or nothing when no server is used."""
    sections = {}
    for name, server in (("redis", stores.redis), ("postgres", stores.postgres)):
        if server is None:
            continue
        sections[name] = server.model_dump(mode="json", exclude={"password_secret_ref"})
        if ref := server.password_secret_ref:
            file = f"{places.stores}/{name}/password"
            password = {"file": file, "secretName": ref.name, "secretKey": ref.key}
            sections[name]["password"] = password
    return {"stores": sections} if sections else {}


def _guard(callers: Mapping[str, Any], declared: Guard, places: Places) -> dict[str, Any]:
    """Return the section `guard`, or nothing when nothing of it is declared.

    `callers` is what it says about who may ask, and how much.
    """
    body = dict(callers)
    if declared.encryption is not None:
        ref = declared.encryption.keys_secret_ref
        keys = {"file": places.encryption, "secretName": ref.name, "secretKey": ref.key}
        body["encryption"] = {"keys": keys}
    if declared.pii is not None:
        body["pii"] = pii_config.of_pii(declared.pii, places.keys)
    return {"guard": body} if body else {}


def _budget(declared: Budget | None) -> dict[str, Any]:
    """Return the section `budget`, or nothing when there is none."""
    return {"budget": declared.body()} if declared else {}


def _cache(declared: Cache | None) -> dict[str, Any]:
    """Return the section `cache`, or nothing when there is none."""
    if declared is None:
        return {}
    ttl_s = timedelta_of(declared.ttl).total_seconds()
    return {"cache": {"ttlSeconds": ttl_s, "maxEntries": declared.max_entries}}


def _sessions(sessions: Sessions, places: Places, *, shared: bool) -> dict[str, Any]:
    path = {"path": places.sessions} if sessions.store is SessionStore.SQLITE else {}
    return {
        "store": sessions.store.value,
        **path,
        "ttlSeconds": int(timedelta_of(sessions.ttl).total_seconds()),
        "maxTurns": sessions.max_turns,
        "shared": shared,
    }
