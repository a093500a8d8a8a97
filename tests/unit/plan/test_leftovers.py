"""What is deleted, and what never is."""

from dataclasses import dataclass, replace

import pytest

from agentsystem_operator.model.actions import Delete, Why
from agentsystem_operator.model.observed import Child, Pin, RevisionRecord
from agentsystem_operator.model.references import Kind, Ref
from agentsystem_operator.plan import leftovers


def child(kind: Kind, name: str, *, agent: str = "writer", revision: str = "") -> Child:
    ref = Ref(kind, "shop", name)
    return Child(ref, f"uid-{name}", "1", "system-1", "", "", "support", agent, revision)


def record(number: int) -> Child:
    """The ControllerRevision in which the writer had revision `r<number>`."""
    pins = {"writer": Pin("declared", f"r{number}", 1, "image", {})}
    found = child(Kind.CONTROLLER_REVISION, f"support--{number:04}")
    return replace(found, record=RevisionRecord(f"{number:04}", number, pins))


CONFIG = child(Kind.CONFIG_MAP, "support--writer-r1", revision="r1")
PODS = child(Kind.REPLICA_SET, "support--writer-a-x", revision="r1")
DEPLOYMENT = child(Kind.DEPLOYMENT, "support--writer-a", revision="r2")
SERVICE = child(Kind.SERVICE, "support--writer")


@dataclass(frozen=True)
class Case:
    id: str
    children: tuple[Child, ...]
    deleted: tuple[Child, ...]
    settled: tuple[str, ...] = ("writer",)


CASES = (
    Case("a Service", (SERVICE,), (SERVICE,)),
    Case("of somebody else", (replace(SERVICE, controller_uid="system-2"),), ()),
    Case("of nobody", (replace(SERVICE, controller_uid=None),), ()),
    Case("on its way out", (replace(SERVICE, deleting=True),), ()),
    Case("a claim", (child(Kind.PERSISTENT_VOLUME_CLAIM, "support--writer"),), ()),
    Case("a ReplicaSet", (replace(PODS, controller_uid="system-1"),), ()),
    Case("pods before what they need", (SERVICE, DEPLOYMENT), (DEPLOYMENT, SERVICE)),
    Case("a config that nothing uses", (CONFIG,), (CONFIG,)),
    Case("a config that old pods use", (CONFIG, replace(PODS, controller_uid="d")), ()),
    Case(
        "a config of another revision",
        (CONFIG, replace(PODS, controller_uid="d", revision="r2")),
        (CONFIG,),
    ),
    Case(
        "a config of another agent",
        (CONFIG, replace(PODS, controller_uid="d", agent="front")),
        (CONFIG,),
        settled=("front",),
    ),
    Case(
        "a recent config while its agent rolls",
        (CONFIG, record(1), replace(PODS, controller_uid="d", revision="r2")),
        (),
        settled=(),
    ),
    Case(
        "a recent config when its agent has rolled",
        (CONFIG, record(1), replace(PODS, controller_uid="d", revision="r2")),
        (CONFIG,),
    ),
    Case(
        "an old config that pods use while their agent rolls",
        (CONFIG, replace(PODS, controller_uid="d")),
        (),
        settled=(),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_removals(case: Case) -> None:
    found = leftovers.removals(
        {item.ref: item for item in case.children},
        set(),
        owner_uid="system-1",
        settled_agents=case.settled,
    )

    assert found == tuple(Delete(c.ref, c.uid, Why.NOT_WANTED) for c in case.deleted)


def test_what_is_wanted_stays() -> None:
    children = {SERVICE.ref: SERVICE}

    assert not leftovers.removals(
        children, {SERVICE.ref}, owner_uid="system-1", settled_agents=("writer",)
    )


def test_a_system_that_never_settles_keeps_no_more_than_its_history() -> None:
    configs = [child(Kind.CONFIG_MAP, f"support--writer-r{n}", revision=f"r{n}") for n in range(50)]
    records = [record(number) for number in range(50)]
    newest = {configs[-1].ref, records[-1].ref}
    deployment = replace(DEPLOYMENT, revision="r49")
    children = {item.ref: item for item in (*configs, *records, deployment)}

    found = leftovers.removals(
        children, {*newest, deployment.ref}, owner_uid="system-1", settled_agents=()
    )

    kept = children.keys() - {removal.ref for removal in found}
    for kind in (Kind.CONFIG_MAP, Kind.CONTROLLER_REVISION):
        assert sum(ref.kind is kind for ref in kept) == leftovers.KEPT_REVISIONS
    assert kept >= newest
