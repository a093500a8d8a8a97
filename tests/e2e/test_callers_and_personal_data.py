"""Who may ask, across two agents' pods, and what a model gets to see of what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from tests import builders
from tests.e2e import connections
from tests.kube import Kube, eventually, is_true

_ASK = """
import json, sys, urllib.request, urllib.error
url, headers, body = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3].encode()
request = urllib.request.Request(url, body, {"content-type": "application/json", **headers})
try:
    with urllib.request.urlopen(request, timeout=10) as answer:
        print(json.dumps([answer.status, json.load(answer)]))
except urllib.error.HTTPError as refusal:
    print(json.dumps([refusal.code, json.load(refusal)]))
"""
ECHO = """\
rules:
  - match: I am at (?P<where>.+)
    answer: You are at {where}.
default: "I am {agent}."
"""
FORGED = {
    "x-agentsystem-principal": "eyJpZCI6InJvb3QifQ==",
    "x-agentsystem-proof": "no.proof.at-all",
}


@dataclass
class Client:
    """Asks agents from inside a pod."""

    kube: Kube
    ns: str
    pod: str

    def ask(self, service: str, text: str, *, model: str, **headers: str) -> tuple[int, Any]:
        url = f"http://{service}.{self.ns}.svc:8000/v1/chat/completions"
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        arguments = ("python3", "-c", _ASK, url, json.dumps(headers), json.dumps(body))
        said = self.kube.kubectl("exec", "-n", self.ns, self.pod, "--", *arguments)
        status, answer = json.loads(said.strip().splitlines()[-1])
        return status, answer


def secret(ns: str, name: str, **items: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": ns}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": items}


def new_key(who: str) -> tuple[str, str]:
    """Return a key, and the line that lets it in, as the command prints them."""
    command = [sys.executable, "-m", "agent_runtime", "key", "--id", who, "--tenant", "acme"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True)
    key, line = printed.stdout.splitlines()
    return key, line


def team(ns: str) -> dict[str, Any]:
    return builders.system(
        "team",
        ns,
        tier="Testing",
        agents=[builders.agent("front"), builders.agent("research")],
        providers=[
            {
                "name": "canned",
                "type": "Scripted",
                "scripted": {"configMapKeyRef": {"name": "answers", "key": "answers.yaml"}},
            }
        ],
        memory={"sessions": {"store": "Memory"}},
        guard={
            "auth": {
                "type": "APIKey",
                "apiKeys": {"secretRef": {"name": "callers", "key": "keys"}},
            },
            "pii": {
                "keySecretRef": {"name": "pii", "key": "key"},
                "kinds": [{"kind": "Email", "policy": "Mask"}],
            },
        },
    )


@pytest.fixture
def key(operator: Kube, ns: str) -> str:
    """A running team, and the key of one who may ask it."""
    key, line = new_key("ann")
    operator.apply(secret(ns, "callers", keys=line))
    operator.apply(secret(ns, "pii", key="0123456789abcdef" * 4))
    operator.apply(builders.config_map("answers", ns, answers_yaml=ECHO))
    eventually(
        "taken", lambda: operator.try_apply(connections.idle(ns, "client")).is_success, within_s=30
    )
    operator.apply(team(ns))
    operator.kubectl("wait", "-n", ns, "--for=condition=Ready", "pod/client", "--timeout=60s")
    eventually(
        "ready", lambda: is_true(operator.get("AgentSystem", "team", ns), "Ready"), within_s=90
    )
    return key


def test_a_key_opens_all_agents_and_nothing_else_does(operator: Kube, ns: str, key: str) -> None:
    client = Client(operator, ns, "client")
    labels = "agentsystem.dev/system=team,agentsystem.dev/agent=front"
    (front, *_) = operator.list("Pod", ns, labels=labels)
    sibling = Client(operator, ns, front["metadata"]["name"])
    bearer = {"Authorization": f"Bearer {key}"}

    status, answer = client.ask("team", "who are you", model="research", **bearer)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "I am research.")
    for headers in ({}, {"Authorization": "Bearer as-made-up"}, FORGED):
        status, _ = client.ask("team", "hello", model="front", **headers)
        assert status == 401, headers
    # Its network policy lets a sibling's pod connect; being there proves nothing.
    for headers in ({}, FORGED):
        status, _ = sibling.ask("team--research", "hello", model="research", **headers)
        assert status == 401, headers


def test_the_model_sees_a_placeholder(operator: Kube, ns: str, key: str) -> None:
    """The scripted model repeats what it got; nothing is restored in its answer."""
    client = Client(operator, ns, "client")
    said = "I am at ada@shop.example"
    for agent in ("front", "research"):
        status, answer = client.ask("team", said, model=agent, Authorization=f"Bearer {key}")
        assert status == 200
        assert answer["choices"][0]["message"]["content"] == "You are at <EMAIL_1>."
