"""Resources for the tests of the API: a small valid one, and a way to change one place of it."""

import copy
import re
from collections.abc import Mapping
from typing import Any

Body = dict[str, Any]


# Stands for a field that is taken away; a type, since deepcopy keeps those as they are.
REMOVED = type("Removed", (), {})

API_KEYS: Body = {"type": "APIKey", "apiKeys": {"secretRef": {"name": "callers", "key": "keys"}}}
"""What tiers other than Development ask for."""

_STEP = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")


def resource() -> Body:
    """Return the smallest valid AgentSystem."""
    return {
        "apiVersion": "agentsystem.dev/v1alpha1",
        "kind": "AgentSystem",
        "metadata": {"name": "support", "namespace": "default"},
        "spec": {
            "tier": "Development",
            "providers": [{"name": "canned", "type": "Scripted"}],
            "routes": [{"name": "chat", "chain": [{"provider": "canned"}]}],
            "agents": [{"name": "front", "route": "chat"}],
        },
    }


def changed(changes: Mapping[str, Any]) -> Body:
    """Return the smallest valid AgentSystem with values put at paths such as spec.agents[0].env.

    Missing objects on the way are made; an index one past the end appends.
    """
    body: Any = resource()
    for path, value in changes.items():
        _put(body, _steps(path), copy.deepcopy(value))
    return dict(body)


def _steps(path: str) -> list[str | int]:
    return [name or int(index) for name, index in _STEP.findall(path)]


def _put(body: Any, steps: list[str | int], value: Any) -> None:
    *before, last = steps
    for step in before:
        body = body.setdefault(step, {}) if isinstance(step, str) else body[step]
    if value is REMOVED:
        del body[last]
    elif isinstance(last, int) and last == len(body):
        body.append(value)
    else:
        body[last] = value
