"""Names and references that try to be more than a name: the apiserver refuses each, by its field.

Nothing of this reaches the operator. What is free text on purpose (instructions, values of
variables) is in test_hostile_sizes.py: it arrives exactly as it was written.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.contract.api import resources
from tests.integration.crd import REFUSED, blamed, create, serve
from tests.kube import Kube

INJECTIONS = {
    "YAML": "a: {b: c}",
    "YAML document": "a\n---\nkind: Secret",
    "YAML anchor": "&a",
    "template": "{{ .Values.x }}",
    "shell": "$(reboot)",
    "shell end": "a;reboot",
    "variable": "$(POD_NAME)",
    "path": "../../etc/passwd",
    "path of another namespace": "kube-system/secret",
    "path with escapes": "..%2f..%2fkube-system",
    "query": "a?fieldManager=x",
    "fragment": "a#b",
    "PromQL": 'a"} or vector(1) #',
    "label selector": "a,app!=b",
    "label": "a=b",
    "newline": "a\nb",
    "carriage return": "a\r",
    "NUL": "a\x00b",
    "blank": "a ",
    "quote": "a'b",
    "backslash": "a\\nb",
    "upper case": "Front",
    "underscore": "a_b",
    "two dashes": "a--b",
    "dash first": "-a",
    "dash last": "a-",
    "Cyrillic a": "fr\u043ent",
    "full width": "\uff46ront",
    "zero width": "fr\u200bont",
    "right to left": "fr\u202eont",
    "byte order mark": "\ufefffront",
    "combining": "fre\u0308nd",
    "emoji": "\U0001f916",
    "emptiness": "",
    "length": "a" * 300,
}
TEXTS = [{"name": "front", "route": "chat", "instructionsFrom": {"configMapKeyRef": {}}}]
LIVE = {"name": "canned", "type": "OpenAI", "openAI": {"baseURL": "https://api.example/v1"}}
CHAIN = [{"provider": "canned", "model": "gpt"}]
FIELDS: dict[str, dict[str, Any]] = {
    "metadata.name": {},
    "spec.agents[0].name": {},
    "spec.routes[0].name": {},
    "spec.providers[0].name": {},
    "spec.agents[0].instructionsFrom.configMapKeyRef.name": {
        "spec.agents": TEXTS,
        "spec.agents[0].instructionsFrom.configMapKeyRef.key": "front",
    },
    "spec.agents[0].instructionsFrom.configMapKeyRef.key": {
        "spec.agents": TEXTS,
        "spec.agents[0].instructionsFrom.configMapKeyRef.name": "texts",
    },
    "spec.providers[0].openAI.apiKeySecretRef.name": {
        "spec.providers": [LIVE],
        "spec.routes[0].chain": CHAIN,
        "spec.providers[0].openAI.apiKeySecretRef": {"key": "k"},
    },
    "spec.providers[0].openAI.apiKeySecretRef.key": {
        "spec.providers": [LIVE],
        "spec.routes[0].chain": CHAIN,
        "spec.providers[0].openAI.apiKeySecretRef": {"name": "keys"},
    },
    "spec.runtime.env[0].name": {"spec.runtime.env": [{"value": "x"}]},
    "spec.runtime.image": {},
    "spec.runtime.imagePullSecrets[0].name": {"spec.runtime.imagePullSecrets": [{}]},
    "spec.routes[0].chain[0].model": {},
}
# Where a letter, a dash, a dot or a slash is as good as any other.
ALLOWED = {
    "spec.agents[0].instructionsFrom.configMapKeyRef.name": {"two dashes"},
    "spec.providers[0].openAI.apiKeySecretRef.name": {"two dashes"},
    "spec.runtime.imagePullSecrets[0].name": {"two dashes"},
    "spec.agents[0].instructionsFrom.configMapKeyRef.key": {
        "upper case",
        "underscore",
        "two dashes",
        "dash first",
        "dash last",
    },
    "spec.providers[0].openAI.apiKeySecretRef.key": {
        "upper case",
        "underscore",
        "two dashes",
        "dash first",
        "dash last",
    },
    "spec.runtime.env[0].name": {"upper case", "underscore"},
    "spec.runtime.image": {
        "upper case",
        "underscore",
        "two dashes",
        "dash last",
        "path of another namespace",
        "length",
    },
    "spec.routes[0].chain[0].model": {
        "upper case",
        "underscore",
        "two dashes",
        "dash last",
        "path of another namespace",
    },
}
ATTACKS = [
    pytest.param(field, text, id=f"{field}: {name}")
    for field, (name, text) in itertools.product(FIELDS, INJECTIONS.items())
    if name not in ALLOWED.get(field, set())
]


@pytest.fixture(scope="module")
def crd(kube: Kube) -> Kube:
    return serve(kube)


@pytest.mark.parametrize(("field", "text"), ATTACKS)
def test_a_name_that_is_more_than_a_name_is_refused_by_its_field(
    crd: Kube, field: str, text: str
) -> None:
    answer = create(crd, resources.changed({**FIELDS[field], field: text}))

    assert answer.status_code in REFUSED, answer.text
    blame = blamed(answer)
    assert "" not in blame
    assert any(field.startswith(each) or each.startswith(field) for each in blame), answer.text


@pytest.mark.parametrize("field", FIELDS)
def test_the_same_resource_with_a_good_name_is_accepted(crd: Kube, field: str) -> None:
    """Otherwise the refusals above might be about something else."""
    name = {"spec.agents[0].name": "entry", "spec.routes[0].name": "chat"}.get(field, "canned")
    answer = create(crd, resources.changed({**FIELDS[field], field: name}))

    assert answer.is_success, answer.text


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("one--front", "the Service of agent front of system one"),
        ("one--front-a", "its Deployment"),
        ("one--front-0123456789", "its ConfigMap"),
        ("one--0123456789", "the record of a revision of system one"),
    ],
)
def test_no_system_can_be_named_like_a_child_of_another(crd: Kube, name: str, whose: str) -> None:
    """The entry Service bears the system's name, so it would be another's child."""
    answer = create(crd, resources.changed({"metadata.name": name}))

    assert answer.status_code in REFUSED
    assert blamed(answer) == {"metadata.name"}, whose
