"""What is deleted, and what never is."""

from dataclasses import dataclass, replace

import pytest

from agentsystem_operator.model.actions import Delete, Why
from agentsystem_operator.model.observed import Child
from agentsystem_operator.model.references import Kind, Ref
from agentsystem_operator.plan import leftovers


def child(kind: Kind, name: str, *, agent: str = "writer", revision: str = "") -> Child:
    ref = Ref(kind, "shop", name)
    return Child(ref, f"uid-{name}", "1", "system-1", "", "", "support", agent, revision)


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
        "a config while its agent rolls",
        (CONFIG, replace(PODS, controller_uid="d", revision="r2")),
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
