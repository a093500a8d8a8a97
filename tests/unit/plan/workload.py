"""Workloads to build from, made the way the engine makes them."""

from __future__ import annotations

from typing import Any

from agentsystem_operator import engine
from agentsystem_operator.api.base import STORED
from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.decide.references import Texts
from agentsystem_operator.decide.workloads import Owner, Workload, of_system
from agentsystem_operator.model.references import SystemKey
from tests import builders

OWNER = Owner(SystemKey("shop", "support"), "system-1")
SETTINGS = engine.Settings(default_image="registry.example/agent-runtime:1")
OPENAI = {
    "name": "openai",
    "type": "OpenAI",
    "openAI": {
        "baseURL": "https://api.example.com/v1",
        "apiKeySecretRef": {"name": "keys", "key": "openai"},
        "timeout": "1m30s",
    },
}
CANNED = {"name": "canned", "type": "Scripted"}
BOTH = [{"name": "chat", "chain": [{"provider": "openai", "model": "m"}, {"provider": "canned"}]}]
STATED = {
    "Staging": {"sessions": {"store": "Memory"}},
    "Production": {"sessions": {"store": "Memory"}},
}


def system(texts: Texts | None = None, **fields: Any) -> tuple[Workload, ...]:
    """Return the workloads of a system."""
    body = builders.system("support", "shop", **fields)["spec"]
    body.setdefault("memory", STATED.get(body["tier"], {}))
    return of_system(
        AgentSystemSpec.model_validate(body, context=STORED),
        texts or {},
        owner=OWNER,
        pinned={},
        defaults=SETTINGS.defaults,
    )


def first(**fields: Any) -> Workload:
    """Return the workload of the first agent of a system."""
    return system(**fields)[0]
