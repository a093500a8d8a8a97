"""Every field of the AgentSystem's spec, and what a walk does to it.

The fields are read from the generated CRD; `HOMES` are specs in which each of them is stated. A new
field that no home states is found by a test. Whether a value is right is not written down here:
the operator's models and the apiserver have to agree about each.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests import builders
from tests.chaos import owned
from tests.conftest import ROOT
from tests.kube import Object

CRD = ROOT / "crds" / "agentsystems.agentsystem.dev.yaml"
ITEM, ENTRY = "[]", "{}"
"""A list's item and a map's value, as steps of a path."""
MANY = 50
"""Longer lists are not filled: 200 agents are 1,600 objects."""

Path = tuple[str, ...]

_SELECTOR: Object = {
    "matchLabels": {"team": "shop"},
    "matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold"]}],
}
_PEERS: list[Object] = [
    {"podSelector": _SELECTOR, "namespaceSelector": _SELECTOR},
    {"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"]}},
]
_AMOUNTS: Object = {"cpu": "250m", "memory": "64Mi", "ephemeral-storage": "1Gi"}
_RESOURCES: Object = {"requests": _AMOUNTS, "limits": _AMOUNTS}
_ENV: list[Object] = [{"name": "A", "value": "1"}]
_TOLERATION: Object = {
    "key": "team",
    "operator": "Equal",
    "value": "shop",
    "effect": "NoExecute",
    "tolerationSeconds": 60,
}
_SCRIPT: Object = {"configMapKeyRef": {"name": "texts", "key": "answers.yaml"}}
_PASSWORD: Object = {"name": "keys", "key": "password"}
_LIMITS: Object = {"concurrency": 5, "requestsPerMinute": 60, "tokensPerMinute": 1000}
_RATE: Object = {"requestsPerMinute": 60, "requestsPerDay": 1000}
_FULL: Object = {
    "tier": "Development",
    "paused": False,
    "runtime": {
        "image": "example.org/agent:1",
        "resources": _RESOURCES,
        "env": _ENV,
        "tolerations": [_TOLERATION],
        "imagePullSecrets": [{"name": "registry"}],
    },
    "providers": [
        {"name": "canned", "type": "Scripted", "scripted": _SCRIPT},
        {
            "name": "hosted",
            "type": "OpenAI",
            "openAI": {
                "baseURL": "https://api.example.com/v1",
                "apiKeySecretRef": {"name": "keys", "key": "hosted"},
                "timeout": "20s",
                "headers": {"x-team": "red"},
                "azure": {"apiVersion": "2024-10-21"},
                "limits": _LIMITS,
            },
        },
        {
            "name": "other",
            "type": "Anthropic",
            "anthropic": {
                "baseURL": "https://api.example.org/v1",
                "apiKeySecretRef": {"name": "keys", "key": "other"},
                "timeout": "25s",
                "headers": {"x-team": "blue"},
                "limits": _LIMITS,
                "promptCaching": False,
            },
        },
    ],
    "routes": [
        {
            "name": "chat",
            "chain": [{"provider": "canned"}, {"provider": "hosted", "model": "small-1"}],
        },
        {"name": "cheap", "chain": [{"provider": "canned"}]},
    ],
    "agents": [
        builders.agent("front", replicas=1, resources=_RESOURCES, env=_ENV),
        {
            "name": "research",
            "route": "chat",
            "replicas": 1,
            "instructionsFrom": {"configMapKeyRef": {"name": "texts", "key": "front"}},
        },
    ],
    "workflow": {"entry": "front"},
    "memory": {"sessions": {"store": "Memory", "ttl": "12h", "maxTurns": 20}},
    "stores": {
        "redis": {"host": "redis", "port": 6380, "tls": True, "passwordSecretRef": _PASSWORD},
        "postgres": {
            "host": "db",
            "port": 5433,
            "database": "chat",
            "user": "agents",
            "tls": True,
            "passwordSecretRef": _PASSWORD,
        },
    },
    "guard": {
        "encryption": {"keysSecretRef": {"name": "keys", "key": "fernet"}},
        "pii": {
            "keySecretRef": {"name": "keys", "key": "pii"},
            "kinds": [{"kind": "Email", "policy": "Mask", "restore": True}],
            "patterns": [
                {"name": "order", "pattern": "ORD-\\d{6}", "policy": "Hash", "restore": False}
            ],
        },
    },
    "budget": {
        "amount": "25.00",
        "period": "Month",
        "warnAt": 70,
        "degradeAt": 85,
        "degradeRoute": "cheap",
        "prices": [
            {
                "provider": "hosted",
                "model": "small-1",
                "input": "0.15",
                "output": "0.6",
                "cacheWrite": "0.2",
                "cacheRead": "0.05",
            }
        ],
    },
    "cache": {"ttl": "5m", "maxEntries": 500},
    "monitoring": {
        "otlp": {
            "endpoint": "http://collector.observability.svc:4318",
            "headersSecretRef": {"name": "keys", "key": "traces"},
            "samplingRatio": "0.25",
            "captureContent": True,
        }
    },
    "network": {
        "egress": [{"to": _PEERS, "ports": [{"protocol": "TCP", "port": 8443, "endPort": 8450}]}],
        "ingressFrom": _PEERS,
    },
}
_ON_DISK: Object = {
    **_FULL,
    "memory": {
        "sessions": {"store": "SQLite", "sqlite": {"size": "1Gi", "storageClassName": "standard"}}
    },
}
_KEY_FILE: Object = {"name": "callers", "key": "keys"}
_BY_KEY: Object = {
    **_FULL,
    "guard": {
        "auth": {"type": "APIKey", "apiKeys": {"secretRef": _KEY_FILE}},
        "limits": {
            "concurrentRequests": 50,
            "perKey": _RATE,
            "perTenant": _RATE,
            "perAgent": _RATE,
        },
    },
}
_JWT: Object = {
    "issuer": "https://id.example.com",
    "audience": "support",
    "clockSkew": "20s",
    "claims": {"tenant": "org", "roles": "roles", "priority": "plan"},
}
_BY_TOKEN: Object = {
    **_FULL,
    "guard": {
        "auth": {"type": "JWT", "jwt": {**_JWT, "jwksURL": "https://id.example.com/keys"}},
    },
}
_BY_SHARED_KEY: Object = {
    **_FULL,
    "guard": {"auth": {"type": "JWT", "jwt": {**_JWT, "sharedKeySecretRef": _KEY_FILE}}},
}
HOMES = (_FULL, _ON_DISK, _BY_KEY, _BY_TOKEN, _BY_SHARED_KEY)


@dataclass(frozen=True, slots=True)
class Step:
    """What a walk does to one field: specs to declare one after the other."""

    name: str
    specs: tuple[Object, ...]


def schema() -> Object:
    """Return the schema of the spec."""
    crd = yaml.safe_load(CRD.read_text())
    whole = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: Object = whole["properties"]["spec"]
    return found


def fields(node: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield every field below a schema, with its own schema."""
    for name, inner in node.get("properties", {}).items():
        yield (*path, name), inner
        yield from fields(inner, (*path, name))
    for step, key in ((ITEM, "items"), (ENTRY, "additionalProperties")):
        if isinstance(inner := node.get(key), dict):
            yield (*path, step), inner
            yield from fields(inner, (*path, step))


@functools.cache
def steps() -> tuple[Step, ...]:
    """Return what is done to every field: set, changed, unset, at its bounds, wrong."""
    found = []
    for path, node in fields(schema()):
        home, where = home_of(path)
        name = ".".join(path).replace(".[]", "[]").replace(".{}", "{}")
        value = _get(home, where)
        unset = _without(home, where)
        for kind, specs in {
            "set": (unset, home),
            "changed": (_with(home, where, _another(value, node)),),
            "unset": (home, unset),
            "bounds": tuple(_with(home, where, each) for each in bounds(value, node)),
            "wrong": tuple(_with(home, where, each) for each in wrongs(value, node)),
        }.items():
            if specs:
                found.append(Step(f"{name} {kind}", specs))
    return tuple(found)


def home_of(path: Path) -> tuple[Object, tuple[str | int, ...]]:
    """Return the first home that states a field, and where; raises LookupError."""
    for home in HOMES:
        for where in _places(home, path):
            return home, where
    raise LookupError(f"no home states {'.'.join(path)}")


def _places(node: Any, path: Path) -> Iterator[tuple[str | int, ...]]:
    if not path:
        yield ()
        return
    step, rest = path[0], path[1:]
    if step == ITEM:
        # From the end: nothing refers to the last ones.
        keys: list[Any] = list(range(len(node)))[::-1] if isinstance(node, list) else []
    elif step == ENTRY:
        keys = list(node)
    else:
        keys = [step] if isinstance(node, dict) and step in node else []
    for key in keys:
        for below in _places(node[key], rest):
            yield (key, *below)


def bounds(value: Any, node: Mapping[str, Any]) -> list[Any]:
    """Return the least and the greatest that the schema allows."""
    found = [node[key] for key in ("minimum", "maximum") if key in node]
    if isinstance(value, str) and "maxLength" in node and "enum" not in node:
        found.append(_long(value, node["maxLength"]))
    if isinstance(value, list):
        found.append(value[: node.get("minItems", 0)])
        if node.get("maxItems", MANY + 1) <= MANY:
            found.append(_many(value, node["maxItems"]))
    return [*found, *(each for each in node.get("enum", []) if each != value)]


def wrongs(value: Any, node: Mapping[str, Any]) -> list[Any]:
    """Return values of another type, and beyond the bounds."""
    found: list[Any] = [["wrong"] if not isinstance(value, list) else "wrong"]
    found += [node[key] + by for key, by in (("minimum", -1), ("maximum", 1)) if key in node]
    if isinstance(value, str):
        if "maxLength" in node and "enum" not in node:
            found.append(_long(value, node["maxLength"] + 1))
        found.append(" (No Such Thing!" if "enum" in node or "pattern" in node else {"no": "text"})
    if isinstance(value, list) and "maxItems" in node:
        found.append(_many(value, node["maxItems"] + 1))
    return found


def _another(value: Any, node: Mapping[str, Any]) -> Any:
    others = [each for each in node.get("enum", []) if each != value]
    return others[0] if others else owned.another(value)


def _long(value: str, length: int) -> str:
    return value + "x" * (length - len(value))


def _many(value: list[Any], count: int) -> list[Any]:
    """Return so many items, of different names where they have names."""
    found = []
    for number in range(count):
        item = copy.deepcopy(value[0])
        if isinstance(item, dict) and "name" in item and number:
            item["name"] = f"n{number}"
        found.append(item)
    return found


def _get(spec: Object, where: tuple[str | int, ...]) -> Any:
    found: Any = spec
    for step in where:
        found = found[step]
    return found


def _with(spec: Object, where: tuple[str | int, ...], value: Any) -> Object:
    changed = copy.deepcopy(spec)
    _get(changed, where[:-1])[where[-1]] = value
    return changed


def _without(spec: Object, where: tuple[str | int, ...]) -> Object:
    changed = copy.deepcopy(spec)
    del _get(changed, where[:-1])[where[-1]]
    return changed
