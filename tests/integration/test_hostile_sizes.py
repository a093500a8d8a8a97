"""Texts and sizes at the edge of what can be stored: exact, or explained, and harmless to others.

The bounds of single fields are in tests/contract/api/table; here it is what they add up to.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests import audit, builders
from tests.integration import hostile
from tests.integration.hostile import Bystander, asleep, complaint, settled, snapshot
from tests.integration.operator_process import USER
from tests.kube import PATHS, Kube

TRICKS = {
    "YAML": "---\n- &a *a\n? : | >\n#\t'\"\\\n...\n",
    "templates": "{{ .Values }} ${HOME} $(id) `id` %s %(x)s {0}",
    "line ends": "a\r\nb\rc\u0085d\u2028e\u2029f\x0bg\x0ch",
    "control": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "blanks": "  \t\u00a0\u2003\u3000 ",
    "invisible": "a\u200b\u200c\u200d\u2060\ufeffb",
    "directions": "\u202eevil\u202c\u2066x\u2069\u200f",
    "alike": "p\u0430ypal \uff41 \u212b \u00c5 A\u030a",
    "not characters": "\ufffe\uffff\ufdd0\U0001fffe",
    "beyond": "\U0001f916\U0010ffff\U000e0041",
    "markup": "<script>&amp;</script> <!-- -->",
    "JSON": '\\u0000 \\" "}]}, "evil": {',
}
LONG = 32_768
AGENTS = 200


@pytest.fixture
def ns(arena: str) -> str:
    """The namespace to attack."""
    return arena


def rendered(kube: Kube, ns: str) -> dict[str, Any]:
    """The configuration of the only agent of the system `one`."""
    maps = [m for m in kube.list("ConfigMap", ns) if m["metadata"]["name"].startswith("one--")]
    ((text,),) = [list(each["data"].values()) for each in maps]
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("trick", TRICKS)
def test_a_text_reaches_the_agent_exactly_as_written_and_then_nothing_is_written(
    kube: Kube, cluster_name: str, ns: str, trick: str
) -> None:
    text = TRICKS[trick]
    agent = builders.agent(instructions=text, env=[{"name": "TEXT", "value": text}])
    # Created, not applied: an apply is read as YAML, which would change the text before it is ours.
    assert kube.try_create(asleep("one", ns, agents=[agent])).status_code == 201
    settled(kube, "one", ns)
    time.sleep(0.5)
    before = len(audit.writes(cluster_name, user=USER, namespace=ns))

    assert rendered(kube, ns)["agents"][0]["instructions"] == text
    live = kube.get("Deployment", "one--front-a", ns)
    assert live is not None
    env = live["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [each["value"] for each in env if each["name"] == "TEXT"] == [text]
    time.sleep(1)
    assert len(audit.writes(cluster_name, user=USER, namespace=ns)) == before


def test_texts_that_are_too_long_in_all_are_explained_and_nothing_is_made(
    kube: Kube, ns: str
) -> None:
    """1.5 MB are as much as etcd takes of one object: there is hardly room for the status."""
    count, rest = divmod(1_560_000, LONG)
    sizes = [*[LONG] * count, rest]
    agents = [builders.agent(f"n{n}", instructions="x" * size) for n, size in enumerate(sizes)]
    kube.apply(asleep("big", ns, agents=agents[:33]))
    assert "spec.agents: the rendered configurations are over 1 MiB" in complaint(
        kube, "big", ns, "TooLarge"
    )
    assert kube.try_create(asleep("bigger", ns, agents=agents)).status_code == 201
    time.sleep(3)
    assert [name for _, name in snapshot(kube, ns) if name.startswith("big")] == []


def test_more_than_the_apiserver_takes_is_refused_by_it(kube: Kube, ns: str) -> None:
    agents = [builders.agent(f"n{n}", instructions="x" * LONG) for n in range(100)]
    answer = kube.try_create(asleep("big", ns, agents=agents))

    assert answer.status_code == 413
    assert "Request entity too large" in answer.json()["message"]


def test_a_text_that_grows_when_it_is_stored_is_explained(kube: Kube, ns: str) -> None:
    """The apiserver stores each `<` of a record as six characters; 500 kB of them are 3 MB."""
    kube.apply(builders.config_map("texts", ns, front="<" * 500_000))
    agent = builders.agent()
    del agent["instructions"]
    agent["instructionsFrom"] = {"configMapKeyRef": {"name": "texts", "key": "front"}}
    kube.apply(asleep("one", ns, agents=[agent]))

    assert "the record of the revision" in complaint(kube, "one", ns, "TooLarge")
    assert [name for _, name in snapshot(kube, ns) if name.startswith("one")] == []


@pytest.mark.parametrize("depth", [100, 9_000])
def test_deep_nesting_is_refused_or_cut_off(kube: Kube, ns: str, depth: int) -> None:
    """What kubectl asks for is the former; who does not ask for it gets the latter."""
    whole = json.dumps(asleep("deep", ns))
    evil = '{"a":' * depth + "1" + "}" * depth
    body = f'{whole[:-2]}, "evil": {evil}}}}}'
    path, json_type = PATHS["AgentSystem"].format(ns=ns), {"Content-Type": "application/json"}
    strict, lax = (
        kube.http.post(path, params={"fieldValidation": how}, content=body, headers=json_type)
        for how in ("Strict", "Ignore")
    )

    assert strict.status_code == 400
    assert 'unknown field "spec.evil"' in strict.json()["message"]
    assert lax.status_code == 201
    assert "evil" not in settled(kube, "deep", ns)["spec"]


def test_nesting_that_no_reader_could_follow_is_refused(kube: Kube, ns: str) -> None:
    body = '{"a":' * 11_000 + "1" + "}" * 11_000
    path, json_type = PATHS["AgentSystem"].format(ns=ns), {"Content-Type": "application/json"}

    assert kube.http.post(path, content=body, headers=json_type).status_code == 400


def test_large_metadata_is_nobodys_business(kube: Kube, ns: str) -> None:
    """250 KB of annotations are what Kubernetes takes; nothing of them is copied anywhere."""
    body = asleep("one", ns)
    body["metadata"]["annotations"] = {f"example.com/{n}": "x" * 10_000 for n in range(25)}
    kube.apply(body)
    settled(kube, "one", ns)

    for kind in hostile.KINDS:
        for live in kube.list(kind, ns):
            assert not any("example.com" in key for key in live["metadata"].get("annotations", {}))


def test_two_hundred_agents_are_made_and_settle(
    kube: Kube, cluster_name: str, ns: str, bystander: Bystander
) -> None:
    """One write per child and one per Deployment; another tenant is served meanwhile."""
    agents = [builders.agent(f"n{number}") for number in range(AGENTS)]
    kube.apply(asleep("many", ns, agents=agents))
    assert bystander.is_served_promptly()
    live = settled(kube, "many", ns, within_s=180)
    assert live["status"]["totalAgents"] == len(live["status"]["agents"]) == AGENTS
    time.sleep(15)  # counts are written once after 10 s without movement

    made = audit.writes(cluster_name, user=USER, namespace=ns)
    children = [r for r in made if r.resource not in ("agentsystems/status", "events")]
    assert len(children) == 7 * AGENTS + 2
    # Agents finish one after another; that must never be a status each.
    assert len(made) - len(children) <= 8
    assert {r.code for r in made} <= {200, 201}
    time.sleep(10)
    assert len(audit.writes(cluster_name, user=USER, namespace=ns)) == len(made)
