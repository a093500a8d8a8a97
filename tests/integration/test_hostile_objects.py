"""Objects that stand where ours should, look like ours, or claim to be: nothing of them is touched.

Each attack is judged from outside: what was there before has the same uid and version afterwards,
another tenant's system is served promptly, and the operator's log shows no traceback.
"""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest

from tests import builders
from tests.integration import hostile
from tests.integration.hostile import Bystander, Object, asleep, complaint, settled, snapshot
from tests.kube import Kube, eventually, is_true

OURS = "agentsystem.dev/"
SQLITE = {"sessions": {"store": "SQLite"}}
GONE_S = 60
"""The garbage collector learns of a new kind twice a minute; this may be the first use of ours."""


@pytest.fixture
def ns(arena: str) -> str:
    """The namespace to attack."""
    return arena


def made(kube: Kube, ns: str, **spec: Any) -> dict[str, Object]:
    """Make the system `one` and return one child of each kind."""
    kube.apply(asleep("one", ns, memory=SQLITE, **spec))
    settled(kube, "one", ns)
    names = {kind: name for kind, name in snapshot(kube, ns) if name.startswith("one--")}
    children = {kind: kube.get(kind, name, ns) for kind, name in names.items()}
    assert set(children) == set(hostile.KINDS)
    return {kind: child for kind, child in children.items() if child}


def stripped(live: Object, **meta: Any) -> Object:
    """The object as a stranger would write it: same name and content, no owner, other metadata."""
    body = {key: value for key, value in live.items() if key not in ("metadata", "status")}
    names = {key: live["metadata"][key] for key in ("name", "namespace")}
    body = copy.deepcopy({**body, "metadata": {**names, **meta}})
    if live["kind"] == "Service":
        for field in ("clusterIP", "clusterIPs"):
            body["spec"].pop(field, None)
    if live["kind"] == "PersistentVolumeClaim":
        body["spec"].pop("volumeName", None)
    return body


def owned_by(uid: str, *, kind: str = "AgentSystem", name: str = "one") -> list[Object]:
    api = "agentsystem.dev/v1alpha1" if kind == "AgentSystem" else "v1"
    return [{"apiVersion": api, "kind": kind, "name": name, "uid": uid, "controller": True}]


def gone(kube: Kube, ns: str) -> bool:
    """Whether nothing of the system is left but what is no child of it."""
    found = snapshot(kube, ns)
    return not [name for kind, name in found if name.startswith("one") and "Claim" not in kind]


@pytest.mark.parametrize("kind", hostile.KINDS)
@pytest.mark.parametrize("disguise", ["as it is", "with our labels"])
def test_what_stands_under_a_name_of_ours_is_named_and_left_alone(
    kube: Kube, ns: str, kind: str, disguise: str
) -> None:
    """A forged label or annotation makes nothing ours, and nothing is made beside it."""
    child = made(kube, ns)[kind]
    kube.delete("AgentSystem", "one", ns)
    eventually("children are gone", lambda: gone(kube, ns), within_s=GONE_S)
    for claim in kube.list("PersistentVolumeClaim", ns):
        kube.patch("PersistentVolumeClaim", claim["metadata"]["name"], ns, NO_FINALIZERS)
        kube.delete("PersistentVolumeClaim", claim["metadata"]["name"], ns)
    eventually("claims too", lambda: not kube.list("PersistentVolumeClaim", ns), within_s=30)
    forged = {} if disguise == "as it is" else {k: child["metadata"][k] for k in FORGED}
    if kind == "PersistentVolumeClaim" and forged:
        forged["labels"] = {**forged["labels"], f"{OURS}system": "another"}
    assert kube.try_create(stripped(child, **forged)).status_code == 201
    before = _content(kube, ns)

    kube.apply(asleep("one", ns, memory=SQLITE))
    message = complaint(kube, "one", ns, "NameTaken")

    assert f"{kind} '{child['metadata']['name']}' exists and is not owned by this" in message
    time.sleep(1)
    assert _content(kube, ns) == before


FORGED = ("labels", "annotations")
NO_FINALIZERS = {"metadata": {"finalizers": None}}


def _content(kube: Kube, ns: str) -> dict[tuple[str, str], Object]:
    """What people wrote into all objects of ours and theirs: controllers' own fields aside."""
    return {
        (kind, live["metadata"]["name"]): {
            "uid": live["metadata"]["uid"],
            "owners": live["metadata"].get("ownerReferences"),
            "labels": live["metadata"].get("labels"),
            "managers": [
                entry["manager"]
                for entry in live["metadata"]["managedFields"]
                if entry["manager"].startswith("agentsystem")
            ],
            **{key: live[key] for key in ("spec", "data") if key in live},
        }
        for kind in hostile.KINDS
        for live in kube.list(kind, ns)
        if live["metadata"]["name"] not in ("kube-root-ca.crt", "default")
    }


@pytest.mark.parametrize("kind", ["ConfigMap", "Deployment", "Service", "ServiceAccount"])
def test_a_stranger_in_our_labels_is_neither_changed_nor_deleted(
    kube: Kube, ns: str, kind: str
) -> None:
    """It looks like a leftover of an agent that was removed; only an owner could make it one."""
    child = made(kube, ns)[kind]
    agent = {**child["metadata"]["labels"], f"{OURS}agent": "removed"}
    annotations = child["metadata"].get("annotations", {})
    stranger = stripped(child, labels=agent, annotations=annotations)
    stranger["metadata"]["name"] = "one--removed"
    assert kube.try_create(stranger).status_code == 201
    before = _content(kube, ns)[kind, "one--removed"]

    kube.apply(asleep("one", ns, memory=SQLITE, agents=[builders.agent(instructions="New.")]))
    settled(kube, "one", ns)
    time.sleep(1)

    assert _content(kube, ns)[kind, "one--removed"] == before


def test_a_child_of_another_system_that_is_relabelled_into_ours_stays_the_others(
    kube: Kube, ns: str
) -> None:
    """Its owner puts its labels back; the system that it was smuggled into does nothing to it."""
    made(kube, ns)
    kube.apply(asleep("two", ns, agents=[builders.agent("other")]))
    settled(kube, "two", ns)
    before = {kind: kube.get(kind, "two--other", ns) for kind in ("Service", "ServiceAccount")}
    smuggled = {"metadata": {"labels": {f"{OURS}system": "one", f"{OURS}agent": "removed"}}}
    for kind in before:
        kube.patch(kind, "two--other", ns, smuggled)

    for kind, was in before.items():
        assert was is not None
        eventually(
            f"labels of {kind} are back",
            lambda kind=kind, was=was: _labels(kube, kind, ns) == was["metadata"]["labels"],  # type: ignore[misc]
            within_s=15,
        )
        live = kube.get(kind, "two--other", ns)
        assert live is not None
        assert live["metadata"]["uid"] == was["metadata"]["uid"]
        assert live["metadata"]["ownerReferences"] == was["metadata"]["ownerReferences"]


def _labels(kube: Kube, kind: str, ns: str) -> dict[str, str] | None:
    live = kube.get(kind, "two--other", ns)
    labels: dict[str, str] | None = live["metadata"]["labels"] if live else None
    return labels


def test_an_owner_reference_across_namespaces_gives_a_system_nothing(
    kube: Kube, ns: str, bystander: Bystander
) -> None:
    """Another tenant's system of the same name neither reads, adopts nor deletes what is claimed.

    (Kubernetes' own garbage collector deletes an object whose owner is in another namespace; with
    a namespace that states a finalizer it has to wait, and the object can be looked at.)
    """
    with hostile.namespace(kube, "claimed") as theirs:
        uid = made(kube, ns)["Service"]["metadata"]["ownerReferences"][0]["uid"]
        own = made(kube, theirs)
        labels = {**own["Service"]["metadata"]["labels"], f"{OURS}agent": "removed"}
        claimed = builders.config_map("one--removed-0123456789", theirs, text="x")
        meta = {"labels": labels, "ownerReferences": owned_by(uid), "finalizers": ["example.com/x"]}
        claimed["metadata"].update(meta)
        assert kube.try_create(claimed).status_code == 201
        before = snapshot(kube, ns)

        kube.apply(asleep("one", theirs, memory=SQLITE, agents=[builders.agent(instructions="N")]))
        settled(kube, "one", theirs)

        assert snapshot(kube, ns) == before
        live = kube.get("ConfigMap", "one--removed-0123456789", theirs)
        assert live is not None
        assert live["data"] == {"text": "x"}
        kube.patch("ConfigMap", "one--removed-0123456789", theirs, NO_FINALIZERS)


def test_what_is_given_to_a_system_by_owner_reference_is_the_systems(kube: Kube, ns: str) -> None:
    """Who writes our uid as controller gives the object away, as everywhere in Kubernetes.

    One that the system does not want is removed like any leftover; nothing else is.
    """
    child = made(kube, ns)["ServiceAccount"]
    uid = child["metadata"]["ownerReferences"][0]["uid"]
    labels = {**child["metadata"]["labels"], f"{OURS}agent": "removed"}
    given = stripped(child, labels=labels, ownerReferences=owned_by(uid))
    given["metadata"]["name"] = "one--removed"
    before = snapshot(kube, ns)
    assert kube.try_create(given).status_code == 201

    eventually(
        "it is removed", lambda: kube.get("ServiceAccount", "one--removed", ns) is None, within_s=15
    )
    assert snapshot(kube, ns) == before


@pytest.mark.parametrize("data", [None, {}, {"agents": 1}, {"agents": {"front": {"pin": []}}}])
def test_a_forged_record_of_a_revision_is_not_believed(kube: Kube, ns: str, data: object) -> None:
    """It may carry anything, and the highest number that there is."""
    record = made(kube, ns)["ControllerRevision"]
    forged = stripped(record, labels=record["metadata"]["labels"])
    uid = record["metadata"]["ownerReferences"][0]["uid"]
    forged["metadata"] |= {"name": "one--ffffffffff", "ownerReferences": owned_by(uid)}
    forged |= {"revision": 2**63 - 1, "data": data}
    answer = kube.try_create(forged)
    if data is None:
        assert answer.status_code == 422
        return
    assert answer.status_code == 201

    kube.apply(asleep("one", ns, memory=SQLITE, agents=[builders.agent(instructions="New.")]))

    def numbers() -> list[int]:
        records = kube.list("ControllerRevision", ns)
        return sorted(r["revision"] for r in records if r["metadata"]["name"] != "one--ffffffffff")

    eventually("the edit is recorded as the second", lambda: numbers() == [1, 2], within_s=15)
    eventually(
        "the edit is carried out",
        lambda: is_true(kube.get("AgentSystem", "one", ns), "ConfigValid"),
        within_s=15,
    )


def test_the_same_name_in_two_namespaces_is_two_systems(kube: Kube, ns: str) -> None:
    with hostile.namespace(kube, "same") as theirs:
        made(kube, theirs)
        before = snapshot(kube, theirs)
        made(kube, ns)
        kube.delete("AgentSystem", "one", ns)
        eventually("children are gone", lambda: gone(kube, ns), within_s=GONE_S)
        assert snapshot(kube, theirs) == before
