"""AgentSystems and their parts for tests, with what a test does not care about filled in."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

ANSWERS = """\
rules:
  - match: "(?i)what is my name"
    recall: "(?i)my name is (\\\\w+)"
    answer: "Your name is {1}."
  - match: "(?i)my name is (\\\\w+)"
    answer: "Nice to meet you, {1}."
default: "I am {agent}."
"""


def config_map(name: str, ns: str, **items: str) -> Object:
    """A ConfigMap with those items; `answers_yaml` stands for the key `answers.yaml`."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": ns},
        "data": {key.replace("_", "."): text for key, text in items.items()},
    }


def agent(name: str = "front", **more: Any) -> Object:
    """An agent on the route `chat`."""
    return {"name": name, "route": "chat", "instructions": f"You are {name}.", **more}


def system(name: str, ns: str, **spec: Any) -> Object:
    """A Development system of one agent with scripted answers, overridden field by field."""
    whole: Object = {
        "tier": "Development",
        "providers": [{"name": "canned", "type": "Scripted", "scripted": {}}],
        "routes": [{"name": "chat", "chain": [{"provider": "canned"}]}],
        "agents": [agent()],
        **spec,
    }
    if len(whole["agents"]) > 1:
        whole.setdefault("workflow", {"entry": whole["agents"][0]["name"]})
    return {
        "apiVersion": "agentsystem.dev/v1alpha1",
        "kind": "AgentSystem",
        "metadata": {"name": name, "namespace": ns},
        "spec": whole,
    }


def namespace(name: str) -> Object:
    """A namespace that enforces the restricted pod security standard."""
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
    }
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    }
