"""Wrong input changes nothing and the user reads which field is wrong and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.builders import agent, config_map, system
from tests.kube import Kube, conditions, eventually, is_true

OPENAI = {"name": "live", "type": "OpenAI", "openAI": {"baseURL": "https://api.example.com/v1"}}
CANNED = {"name": "canned", "type": "Scripted", "scripted": {}}
CHAIN = [{"name": "chat", "chain": [{"provider": "canned"}]}]
SQLITE = {"sessions": {"store": "SQLite"}}


def key_of(name: str, key: str) -> dict[str, Any]:
    """A reference to a ConfigMap's key."""
    return {"configMapKeyRef": {"name": name, "key": key}}


def from_text(name: str, key: str) -> dict[str, Any]:
    """An agent whose instructions stand in a ConfigMap."""
    return {"name": "front", "route": "chat", "instructionsFrom": key_of(name, key)}


NO_MAP = key_of("nowhere", "text")


@dataclass(frozen=True)
class Case:
    id: str
    spec: dict[str, Any]
    field: str
    """What the message must name."""
    name: str = "wrong"


REFUSED = (
    Case("no tier", {"tier": None}, "spec.tier"),
    Case("unknown tier", {"tier": "Prod"}, "spec.tier"),
    Case("unknown field", {"agnets": []}, "agnets"),
    Case("no agents", {"agents": []}, "spec.agents"),
    Case("unknown route", {"agents": [agent(route="chit")]}, "chit"),
    Case(
        "unknown provider",
        {"routes": [{"name": "chat", "chain": [{"provider": "nobody"}]}]},
        "unknown provider in route: chat",
    ),
    Case("no entry", {"agents": [agent("a"), agent("b")], "workflow": {}}, "entry"),
    Case("unknown entry", {"workflow": {"entry": "nobody"}}, "entry"),
    Case("agent name", {"agents": [agent("Front_1")]}, "spec.agents"),
    Case("agent name too long", {"agents": [agent("a" * 21)]}, "spec.agents"),
    Case(
        "two of a name", {"agents": [agent("a"), agent("a")], "workflow": {"entry": "a"}}, "agents"
    ),
    Case("system name", {}, "metadata.name", name="two--dashes"),
    Case(
        "SQLite with replicas",
        {"agents": [agent(replicas=2)], "memory": SQLITE},
        "replicas",
    ),
    Case("Production without sessions", {"tier": "Production"}, "memory.sessions"),
    Case("Testing without authentication", {"tier": "Testing"}, "guard.auth"),
    Case(
        "Testing that asks nobody",
        {"tier": "Testing", "guard": {"auth": {"type": "None"}}},
        "None is only for tier Development",
    ),
    Case(
        "instructions twice",
        {"agents": [agent(instructionsFrom=NO_MAP)]},
        "instructionsFrom",
    ),
    Case(
        "type without its section", {"providers": [{"name": "canned", "type": "OpenAI"}]}, "openAI"
    ),
    Case(
        "OpenAI without a model",
        {
            "providers": [OPENAI, CANNED],
            "routes": [{"name": "chat", "chain": [{"provider": "live"}]}],
        },
        "model",
    ),
    Case(
        "not a quantity",
        {"agents": [agent(resources={"requests": {"cpu": "much"}})]},
        "resources",
    ),
    Case("not a duration", {"memory": {"sessions": {"store": "Memory", "ttl": "soon"}}}, "ttl"),
    Case(
        "not a URL",
        {"providers": [{**OPENAI, "openAI": {"baseURL": "api"}}, CANNED], "routes": CHAIN},
        "baseURL",
    ),
)

SHOWN = (
    Case(
        "no such ConfigMap",
        {"agents": [from_text("nowhere", "text")]},
        "spec.agents[0].instructionsFrom.configMapKeyRef",
    ),
    Case(
        "no such key",
        {"agents": [from_text("texts", "absent")]},
        "spec.agents[0].instructionsFrom.configMapKeyRef",
    ),
    Case(
        "more than a ConfigMap can hold",
        {
            "agents": [from_text("texts", "long.txt")],
            "providers": [
                {"name": "canned", "type": "Scripted", "scripted": key_of("more", "long.txt")}
            ],
        },
        "1 MiB",
    ),
)


def without_none(spec: dict[str, Any]) -> dict[str, Any]:
    """None in a case means: leave the field out."""
    return {key: value for key, value in spec.items() if value is not None}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_the_apiserver_refuses_and_names_the_field(operator: Kube, ns: str, case: Case) -> None:
    body = system(case.name, ns, **case.spec)
    body["spec"] = without_none(body["spec"])

    answer = operator.try_create(body)

    assert answer.status_code in {400, 422}, answer.text
    assert case.field in answer.json()["message"]
    assert operator.list("AgentSystem", ns) == []


@pytest.mark.parametrize("case", SHOWN, ids=lambda case: case.id)
def test_what_only_the_operator_can_see_is_in_config_valid(
    operator: Kube, ns: str, case: Case
) -> None:
    """Running pods stay as they are, and the system recovers when the reference is mended."""
    long_text = "x" * 600_000
    operator.apply(config_map("texts", ns, long_txt=long_text))
    operator.apply(config_map("more", ns, long_txt=f'default: "{long_text}"'))
    good = system("wrong", ns)
    operator.apply(good)
    eventually(
        "ready", lambda: is_true(operator.get("AgentSystem", "wrong", ns), "Ready"), within_s=90
    )
    (before,) = operator.list("Deployment", ns)

    operator.apply(system("wrong", ns, **case.spec))

    def explained() -> str:
        found = conditions(operator.get("AgentSystem", "wrong", ns)).get("ConfigValid", {})
        return str(found.get("message")) if found.get("status") == "False" else ""

    assert case.field in eventually("ConfigValid False", explained, within_s=30)
    (after,) = operator.list("Deployment", ns)
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["status"]["availableReplicas"] == 1

    operator.apply(good)
    eventually(
        "ready", lambda: is_true(operator.get("AgentSystem", "wrong", ns), "Ready"), within_s=60
    )
