"""The rules between fields: names that must exist, and be there once.

They read the raw document, not the parsed one, so that a config with a wrong type in one place is
still told everything else that is wrong with it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from agent_runtime.app import references_budget, references_guard
from agent_runtime.problems import Problem

_SECTION_OF = {"OpenAI": "openAI", "Anthropic": "anthropic", "Scripted": "scripted"}
_MODELS = ("OpenAI", "Anthropic")
"""Types of providers that have to be told which model to ask."""
_SERVER_OF = {"Redis": "redis", "Postgres": "postgres"}


def check(document: dict[str, Any]) -> list[Problem]:
    """Return every reference that leads nowhere and every name used twice."""
    return [problem for rule in RULES for problem in rule(document)]


def _items(document: Any, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    items = document.get(key) if isinstance(document, dict) else None
    for number, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield number, item


def _names(document: dict[str, Any], key: str) -> list[str]:
    return [i["name"] for _, i in _items(document, key) if isinstance(i.get("name"), str)]


def _known(names: Iterable[str]) -> str:
    return f"use one of: {', '.join(sorted(set(names))) or '(none is defined)'}"


def _names_are_unique(document: dict[str, Any]) -> Iterator[Problem]:
    for key in ("agents", "routes", "providers"):
        seen: set[str] = set()
        for number, item in _items(document, key):
            name = item.get("name")
            if isinstance(name, str) and name in seen:
                yield Problem(f"{key}[{number}].name", f"{name!r} is there twice", "rename one")
            seen.add(str(name))


def _siblings_are_others(document: dict[str, Any]) -> Iterator[Problem]:
    taken = set(_names(document, "agents"))
    for number, item in _items(document, "siblings"):
        name = item.get("name")
        if isinstance(name, str) and name in taken:
            what = f"{name!r} is an agent or a sibling already"
            yield Problem(f"siblings[{number}].name", what, "remove one of the two")
        taken.add(str(name))


def _agents_know_their_route(document: dict[str, Any]) -> Iterator[Problem]:
    routes = _names(document, "routes")
    for number, agent in _items(document, "agents"):
        route = agent.get("route")
        if isinstance(route, str) and route not in routes:
            what = f"there is no route {route!r}"
            yield Problem(f"agents[{number}].route", what, _known(routes))


def _chains_know_their_providers(document: dict[str, Any]) -> Iterator[Problem]:
    providers = _names(document, "providers")
    types = {str(p.get("name")): p.get("type") for _, p in _items(document, "providers")}
    for number, route in _items(document, "routes"):
        for place, link in _items(route, "chain"):
            path = f"routes[{number}].chain[{place}]"
            name = link.get("provider")
            if isinstance(name, str) and name not in providers:
                what = f"there is no provider {name!r}"
                yield Problem(f"{path}.provider", what, _known(providers))
            elif isinstance(name, str) and types[name] in _MODELS and not link.get("model"):
                yield Problem(f"{path}.model", "is missing", "name the model to ask for")


def _sections_match_their_type(document: dict[str, Any]) -> Iterator[Problem]:
    for number, provider in _items(document, "providers"):
        own = _SECTION_OF.get(str(provider.get("type")))
        for section in _SECTION_OF.values():
            if own and section != own and provider.get(section) is not None:
                what = f"does not belong to type {provider['type']}"
                yield Problem(f"providers[{number}].{section}", what, f"remove it, or use {own}")


def _shared_stores_are_there(document: dict[str, Any]) -> Iterator[Problem]:
    sessions, stores = document.get("sessions"), document.get("stores")
    store = sessions.get("store") if isinstance(sessions, dict) else None
    section = _SERVER_OF.get(str(store))
    if section and not (isinstance(stores, dict) and stores.get(section) is not None):
        yield Problem(f"stores.{section}", f"is needed by store {store}", "say where the server is")


def _entry_exists(document: dict[str, Any]) -> Iterator[Problem]:
    entry = document.get("entry")
    known = [*_names(document, "agents"), *_names(document, "siblings")]
    # a plain agent's pod knows no siblings and so cannot know the entry
    if isinstance(entry, str) and len(known) > 1 and entry not in known:
        yield Problem("entry", f"there is no agent {entry!r}", _known(known))


RULES = (
    _shared_stores_are_there,
    _names_are_unique,
    _siblings_are_others,
    _agents_know_their_route,
    _chains_know_their_providers,
    _sections_match_their_type,
    _entry_exists,
    references_guard.check,
    references_budget.check,
)
