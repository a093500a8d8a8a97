"""Whether what a spec refers to is there; doubt is neither yes nor no."""

from dataclasses import dataclass
from typing import Any

import pytest

from agentsystem_operator.api.reasons import Reason
from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.decide import references
from agentsystem_operator.decide.references import Broken, Doubtful, Fault, Resolved, Unread
from agentsystem_operator.model.observed import Absent, Text, Unknown
from tests import builders


def asks_for(name: str, key: str) -> dict[str, Any]:
    return {"configMapKeyRef": {"name": name, "key": key}}


BODY = builders.system(
    "support",
    "shop",
    providers=[{"name": "canned", "type": "Scripted", "scripted": asks_for("b", "answers")}],
    agents=[{"name": "front", "route": "chat", "instructionsFrom": asks_for("a", "prompt")}],
)["spec"]
SPEC = AgentSystemSpec.model_validate(BODY)
PROMPT, ANSWERS = Text({"prompt": "Be kind."}), Text({"answers": "default: hi"})
NO_KEY = Fault(
    Reason.CONFIG_MAP_KEY_MISSING,
    "spec.agents[0].instructionsFrom.configMapKeyRef",
    "ConfigMap 'a' has no key 'prompt' in its data; add it",
    passes=True,
)
NO_MAP = Fault(
    Reason.CONFIG_MAP_MISSING,
    "spec.providers[0].scripted.configMapKeyRef",
    "ConfigMap 'b' does not exist; create it with key 'answers'",
    passes=True,
)


@dataclass(frozen=True)
class Case:
    id: str
    given: references.ConfigMaps
    want: references.Resolution


CASES = (
    Case("nothing read", {}, Unread(frozenset({"a", "b"}))),
    Case("one read", {"a": PROMPT}, Unread(frozenset({"b"}))),
    Case("one read, one in doubt", {"a": Unknown("x")}, Unread(frozenset({"b"}))),
    Case("doubt", {"a": Unknown("timeout"), "b": Absent()}, Doubtful(("a",))),
    Case("no such ConfigMap", {"a": PROMPT, "b": Absent()}, Broken((NO_MAP,))),
    Case("no such key", {"a": Text({"other": ""}), "b": ANSWERS}, Broken((NO_KEY,))),
    Case("both", {"a": Text({}), "b": Absent()}, Broken((NO_MAP, NO_KEY))),
    Case(
        "all there",
        {"a": PROMPT, "b": ANSWERS},
        Resolved({("a", "prompt"): "Be kind.", ("b", "answers"): "default: hi"}),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_resolution(case: Case) -> None:
    assert references.resolve(SPEC, case.given) == case.want


def test_a_spec_without_references_needs_nothing() -> None:
    spec = AgentSystemSpec.model_validate(builders.system("support", "shop")["spec"])

    assert references.names(spec) == frozenset()
    assert references.resolve(spec, {}) == Resolved({})
