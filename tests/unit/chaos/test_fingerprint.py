"""Two systems have one fingerprint exactly when they are in the same state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.chaos import canonical, fingerprint
from tests.kube import Object
from tests.unit.chaos.namespace import child, namespace, world


def differences(spoil: Callable[[Object], None]) -> list[str]:
    """Return how a spoilt namespace differs from a sound one of another name."""
    spoilt = namespace("shop-7")
    spoil(spoilt)
    return fingerprint.differences(world(spoilt, "shop-7"), world(namespace("lab-9"), "lab-9"))


def test_equal_systems_in_two_namespaces_are_equal() -> None:
    assert differences(lambda _: None) == []


@dataclass(frozen=True)
class Case:
    id: str
    spoil: Callable[[Object], None]
    want: str


def deployment(everything: Object) -> Object:
    found: Object = everything["objects"]["Deployment"][0]
    return found


CASES = (
    Case(
        "replicas",
        lambda e: deployment(e)["spec"].update(replicas=3),
        "Deployment/sys--front-a differs: .spec.replicas is 3, not 2",
    ),
    Case(
        "label",
        lambda e: deployment(e)["metadata"]["labels"].update(extra="1"),
        'Deployment/sys--front-a differs: .labels.extra is "1", not null',
    ),
    Case(
        "annotation",
        lambda e: deployment(e)["metadata"]["annotations"].update(extra="1"),
        'Deployment/sys--front-a differs: .annotations.extra is "1", not null',
    ),
    Case(
        "owner",
        lambda e: deployment(e)["metadata"]["ownerReferences"][0].update(name="other"),
        "Deployment/sys--front-a differs: .owners is"
        ' [["AgentSystem", "other", true]], not [["AgentSystem", "sys", true]]',
    ),
    Case(
        "owner of replicas",
        lambda e: deployment(e)["metadata"].update(
            managedFields=[{"manager": "x", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]
        ),
        'Deployment/sys--front-a differs: .replicas owned by is ["x"], not []',
    ),
    Case(
        "on its way out",
        lambda e: deployment(e)["metadata"].update(deletionTimestamp="now"),
        "Deployment/sys--front-a differs: .deleting is true, not false",
    ),
    Case(
        "missing",
        lambda e: e["objects"]["Deployment"].clear(),
        "Deployment/sys--front-a is missing",
    ),
    Case(
        "too much",
        lambda e: e["objects"]["Service"].append(child("sys--new", "uid-shop-7", {})),
        "Service/sys--new is too much",
    ),
    Case(
        "condition",
        lambda e: e["system"]["status"]["conditions"][0].update(status="False"),
        'status differs: .conditions.Ready is ["False", "AllAgentsReady"],'
        ' not ["True", "AllAgentsReady"]',
    ),
    Case(
        "not observed",
        lambda e: e["system"]["metadata"].update(generation=3),
        "status differs: .observed is false, not true",
    ),
    Case("no system", lambda e: e.update(system=None), "status differs: . is null, not"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_difference_is_named(case: Case) -> None:
    (line,) = differences(case.spoil)
    assert line.startswith(case.want)


def test_another_config_makes_another_revision_wherever_it_is_named() -> None:
    def spoil(everything: Object) -> None:
        everything["objects"]["ConfigMap"][0]["data"]["config.json"] = "other"

    found = differences(spoil)
    assert [line.split(" ")[0].partition("-agent-")[0] for line in found if "differs" in line] == [
        "Deployment/sys--front-a",
        "status",
    ]
    assert len([line for line in found if "missing" in line]) == 3  # config, record, ReplicaSet


def test_a_record_that_names_a_removed_agents_revision_is_equal_too() -> None:
    worlds = []
    for ns, gone in (("shop-7", "0123456789"), ("lab-9", "abcdefabcd")):
        everything = namespace(ns)
        (record,) = everything["objects"]["ControllerRevision"]
        record["data"]["agents"].append({"name": "removed", "revision": gone})
        worlds.append(world(everything, ns))
    assert fingerprint.differences(*worlds) == []


def test_children_without_a_live_owner_are_orphans_but_claims_are_not() -> None:
    everything = namespace("shop")
    assert world(everything, "shop").orphans == ()
    everything["system"]["metadata"]["uid"] = "another"
    kinds = sorted(kind for kind, _ in world(everything, "shop").orphans)
    assert kinds == ["ConfigMap", "ControllerRevision", "Deployment"]


def test_what_is_not_the_systems_is_known_by_its_version() -> None:
    assert world(namespace("shop"), "shop").versions == {("ConfigMap", "theirs"): "7"}


def test_history_is_left_out_of_a_comparison_with_a_fresh_install() -> None:
    old, fresh = namespace("shop"), world(namespace("lab-9"), "lab-9")
    old["objects"]["ControllerRevision"][0]["revision"] = 9
    old["objects"]["ConfigMap"].append(child("sys--front-0123456789", "uid-shop", {}, data={}))
    lived = world(old, "shop")
    assert fingerprint.differences(lived, fresh)
    assert not fingerprint.differences(
        fingerprint.without_history(lived, of=fresh), fingerprint.without_history(fresh, of=fresh)
    )


def test_hashed_names_are_numbered_in_the_order_of_their_making() -> None:
    made = [
        ("configmaps", "sys--front-0123456789"),
        ("configmaps", "sys--front-abcdefabcd"),
        ("configmaps", "sys--front-0123456789"),
        ("controllerrevisions", "sys--0123456789"),
        ("services", "sys--front"),
    ]
    assert list(canonical.in_order(made).values()) == [
        ("configmaps", "sys--front-#1"),
        ("configmaps", "sys--front-#2"),
        ("controllerrevisions", "sys--#1"),
        ("services", "sys--front"),
    ]
