"""Who is named for a change of a field that we state."""

from typing import Any

import orjson
import pytest

from agentsystem_operator.model import rivals
from agentsystem_operator.model.rivals import Claim

OURS = {
    "f:metadata": {"f:labels": {"f:agentsystem.dev/agent": {}}},
    "f:spec": {
        "f:selector": {},
        "f:containers": {'k:{"name":"agent"}': {".": {}, "f:image": {}, "f:name": {}}},
    },
}


def claim(fields: Any, manager: str = "kubectl-edit") -> Claim:
    return Claim(manager, orjson.dumps(fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"f:metadata": {"f:labels": {"f:agentsystem.dev/agent": {}}}},
        {"f:spec": {"f:selector": {"f:app": {}}}},
        {"f:spec": {}},
        {"f:spec": {"f:containers": {'k:{"name":"agent"}': {"f:image": {}}}}},
    ],
    ids=["the same", "below one that is owned as a whole", "above", "in a list item"],
)
def test_a_claim_of_a_field_that_is_stated_names_its_manager(fields: Any) -> None:
    assert rivals.of((claim(fields),), OURS) == ("kubectl-edit",)


@pytest.mark.parametrize(
    "fields",
    [
        {"f:metadata": {"f:labels": {".": {}, "f:team": {}}}},
        {"f:spec": {"f:containers": {'k:{"name":"proxy"}': {".": {}, "f:image": {}}}}},
        {"f:spec": {"f:containers": {'k:{"name":"agent"}': {".": {}, "f:tty": {}}}}},
        {},
        [],
    ],
    ids=["another label", "another item", "another field of the item", "nothing", "no set at all"],
)
def test_a_claim_of_other_fields_names_nobody(fields: Any) -> None:
    assert rivals.of((claim(fields),), OURS) == ()


def test_few_are_named_each_once_and_in_order() -> None:
    spec: dict[str, Any] = {"f:spec": {}}
    claims = tuple(claim(spec, name) for name in ("d", "b", "a", "c", "a"))
    assert rivals.of(claims, OURS) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("manager", "shown"),
    [
        ("kustomize-controller", "kustomize-controller"),
        ("evil\nname: <b>`x`", "evil?name:??b??x?"),
        ("x" * 128, "x" * 64),
        ("", "?"),
    ],
)
def test_a_name_is_cleaned_and_cut(manager: str, shown: str) -> None:
    assert rivals.of((claim({"f:spec": {}}, manager),), OURS) == (shown,)
