"""Agents are reached by whom, and connect to where, their NetworkPolicies say; nobody else.

Each denied connection is also seen to succeed from an allowed place or once it is allowed, so
that no test passes because nothing listens, a name is wrong or a node is down.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests import builders
from tests.e2e import connections, talk
from tests.e2e.connections import CONNECTED, DECLARED_PORT, MODEL_PORT, OTHER_PORT, SILENCE
from tests.kube import Kube, eventually, is_true

NEAR, FAR = "e2e-policies-near", "e2e-policies-far"
# from the apiserver to the rules of every node
IN_FORCE_S = 15.0


def in_namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def team(**more: Any) -> dict[str, Any]:
    """`front` (the entry) speaks from a script; `research` asks an endpoint in FAR."""
    url = f"http://server.{FAR}.svc/v1"
    return builders.system(
        "team",
        NEAR,
        providers=[
            {"name": "canned", "type": "Scripted", "scripted": {}},
            {"name": "distant", "type": "OpenAI", "openAI": {"baseURL": url}},
        ],
        routes=[
            {"name": "chat", "chain": [{"provider": "canned"}]},
            {"name": "ask", "chain": [{"provider": "distant", "model": "far"}]},
        ],
        agents=[builders.agent("front"), builders.agent("research") | {"route": "ask"}],
        network={
            "egress": [
                {
                    "to": [in_namespace(FAR)],
                    "ports": [{"protocol": "TCP", "port": DECLARED_PORT}],
                }
            ],
            **more,
        },
    )


@dataclass(frozen=True)
class World:
    """A system and a stranger in NEAR, a stranger and a server in FAR."""

    kube: Kube

    def agent(self, name: str) -> dict[str, Any]:
        labels = f"agentsystem.dev/system=team,agentsystem.dev/agent={name}"
        (pod,) = self.kube.list("Pod", NEAR, labels=labels)
        return pod

    def address(self, ns: str, pod: str) -> str:
        found = self.kube.get("Pod", pod, ns)
        assert found is not None
        return str(found["status"]["podIP"])

    def from_agent(self, name: str, *targets: str) -> list[str]:
        pod = self.agent(name)["metadata"]["name"]
        return connections.attempt(self.kube, NEAR, pod, *targets)

    def from_stranger(self, ns: str, *targets: str) -> list[str]:
        return connections.attempt(self.kube, ns, "stranger", *targets)

    def ready(self) -> bool:
        return is_true(self.kube.get("AgentSystem", "team", NEAR), "Ready")


@pytest.fixture(scope="module")
def world(operator: Kube) -> Iterator[World]:
    made = World(operator)
    for ns in (NEAR, FAR):
        operator.apply(builders.namespace(ns))
    for body in (
        connections.server(FAR, "server"),
        connections.service(FAR, "server"),
        connections.idle(FAR, "stranger"),
        connections.idle(NEAR, "stranger"),
        team(),
    ):
        eventually("taken", functools.partial(_taken, operator, body), within_s=30)
    for ns, pod in ((FAR, "server"), (FAR, "stranger"), (NEAR, "stranger")):
        operator.kubectl("wait", "-n", ns, "--for=condition=Ready", f"pod/{pod}", "--timeout=60s")
    eventually("ready", made.ready, within_s=90)
    yield made
    for ns in (NEAR, FAR):
        operator.delete("Namespace", ns)


def _taken(kube: Kube, body: dict[str, Any]) -> bool:
    """Say whether it was applied; a new namespace refuses pods for some tenths of a second."""
    return kube.try_apply(body).is_success


ENTRY = f"team.{NEAR}.svc:8000"
RESEARCH = f"team--research.{NEAR}.svc:8000"
MODEL = f"server.{FAR}.svc:80"
APISERVER = "kubernetes.default.svc:443"


def test_the_entry_is_reached_from_its_own_namespace_only(world: World) -> None:
    assert world.from_stranger(NEAR, ENTRY) == [CONNECTED]
    assert world.from_stranger(FAR, ENTRY) == [SILENCE]


def test_an_agent_behind_the_entry_is_reached_by_siblings_only(world: World) -> None:
    assert world.from_agent("front", RESEARCH) == [CONNECTED]
    assert world.from_stranger(NEAR, RESEARCH) == [SILENCE]
    assert world.from_stranger(FAR, RESEARCH) == [SILENCE]


def test_a_chat_passes_the_entry_a_sibling_dns_and_a_provider_elsewhere(world: World) -> None:
    """One answer needs all four to be open: client, front, research, the endpoint in FAR."""
    answer = talk.answer(talk.ask(world.kube, NEAR, "team", "Hello?", model="research"))

    assert answer == "words from afar"


def test_metrics_are_reached_from_everywhere(world: World) -> None:
    agents = [world.agent(name)["status"]["podIP"] for name in ("front", "research")]

    metrics = world.from_stranger(FAR, *(f"{address}:9000" for address in agents))
    chats = world.from_stranger(FAR, *(f"{address}:8000" for address in agents))

    assert metrics == [CONNECTED, CONNECTED]
    assert chats == [SILENCE, SILENCE]


def test_an_agent_connects_only_to_what_is_declared(world: World) -> None:
    """Policies judge the pod behind a Service: its port and address, not the Service's."""
    server = world.address(FAR, "server")
    declared, undeclared = f"{server}:{DECLARED_PORT}", f"{server}:{OTHER_PORT}"
    targets = (declared, undeclared, MODEL, APISERVER)

    assert world.from_agent("front", *targets) == [CONNECTED, SILENCE, SILENCE, SILENCE]
    # all are there for whom nothing isolates
    assert world.from_stranger(NEAR, *targets) == [CONNECTED] * 4


def test_a_providers_namespace_is_open_to_the_agents_that_use_it(world: World) -> None:
    """Every port of it: which one the Service leads to is not known to who writes the policy."""
    server = world.address(FAR, "server")
    targets = (MODEL, f"{server}:{MODEL_PORT}", f"{server}:{OTHER_PORT}", APISERVER)

    assert world.from_agent("research", *targets) == [CONNECTED, CONNECTED, CONNECTED, SILENCE]


def test_who_is_declared_reaches_the_entry_and_no_pod_is_rolled_for_it(world: World) -> None:
    before = [world.agent(name)["metadata"]["uid"] for name in ("front", "research")]
    assert world.from_stranger(FAR, ENTRY, RESEARCH) == [SILENCE, SILENCE]

    world.kube.apply(team(ingressFrom=[in_namespace(FAR)]))
    becomes(world, {ENTRY: CONNECTED, RESEARCH: SILENCE})

    world.kube.apply(team())
    becomes(world, {ENTRY: SILENCE, RESEARCH: SILENCE})
    eventually("the edit is done", world.ready, within_s=30)
    assert [world.agent(name)["metadata"]["uid"] for name in ("front", "research")] == before


def test_without_its_policy_an_agent_is_open_and_the_operator_restores_it(world: World) -> None:
    """What was silent is so because of the policy: the same connection succeeds without it."""
    assert world.from_stranger(FAR, RESEARCH) == [SILENCE]

    world.kube.patch("AgentSystem", "team", NEAR, {"spec": {"paused": True}})
    eventually("the operator has seen the pause", lambda: _observed(world.kube), within_s=20)
    world.kube.delete("NetworkPolicy", "team--research", NEAR)
    becomes(world, {RESEARCH: CONNECTED})

    world.kube.patch("AgentSystem", "team", NEAR, {"spec": {"paused": False}})
    becomes(world, {RESEARCH: SILENCE})


def becomes(world: World, want: dict[str, str]) -> None:
    """Wait until the stranger in FAR sees this: an edit has to reach the rules of every node."""
    eventually(
        f"a stranger sees {want}",
        lambda: world.from_stranger(FAR, *want) == list(want.values()),
        within_s=IN_FORCE_S,
    )


def _observed(kube: Kube) -> bool:
    system = kube.get("AgentSystem", "team", NEAR)
    assert system is not None
    seen = system.get("status", {}).get("observedGeneration")
    return bool(seen == system["metadata"]["generation"])
