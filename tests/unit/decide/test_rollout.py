"""How far an agent is: lost pods and scaling are no rollout."""

from dataclasses import dataclass, replace

import pytest

from agentsystem_operator.decide import replicas, rollout
from agentsystem_operator.decide.rollout import Stage
from agentsystem_operator.model.actions import Why
from agentsystem_operator.model.observed import ReplicasOwner, Rollout

DONE = Rollout(
    generation=2,
    observed_generation=2,
    wanted=3,
    replicas=3,
    updated=3,
    ready=3,
    available=3,
    replicas_owner=ReplicasOwner.SCALE,
    revision="new",
    deadline_exceeded=False,
    unavailable_since=None,
)


@dataclass(frozen=True)
class Case:
    id: str
    live: Rollout | None
    want: Stage
    was_done: bool = False


CASES = (
    Case("no Deployment", None, Stage.PENDING),
    Case("another revision", replace(DONE, revision="old"), Stage.PENDING),
    Case("just applied", replace(DONE, observed_generation=1), Stage.ROLLING),
    Case("old pods left", replace(DONE, replicas=4), Stage.ROLLING),
    Case("new pods missing", replace(DONE, updated=1, replicas=3), Stage.ROLLING),
    Case("not yet available", replace(DONE, available=2), Stage.ROLLING),
    Case("all there", DONE, Stage.DONE),
    Case("none wanted", replace(DONE, wanted=0, replicas=0, updated=0, available=0), Stage.DONE),
    Case("too late", replace(DONE, available=2, deadline_exceeded=True), Stage.OVERDUE),
    Case(
        "too late, but for the revision before",
        replace(DONE, available=2, deadline_exceeded=True, observed_generation=1),
        Stage.ROLLING,
    ),
    Case("a pod lost later", replace(DONE, available=1), Stage.DONE, was_done=True),
    Case("a pod replaced later", replace(DONE, replicas=2, updated=2), Stage.DONE, was_done=True),
    Case("scaled later", replace(DONE, wanted=5, generation=3), Stage.DONE, was_done=True),
    Case("back again, old pods left", replace(DONE, updated=1), Stage.ROLLING, was_done=True),
    Case(
        "back again, the stuck pods not even counted as old yet",
        replace(DONE, available=0, moving=True, observed_generation=1),
        Stage.ROLLING,
        was_done=True,
    ),
    Case(
        "back again, the new pods not available yet",
        replace(DONE, available=0, moving=True),
        Stage.ROLLING,
        was_done=True,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_stage(case: Case) -> None:
    assert rollout.stage(case.live, "new", was_done=case.was_done) is case.want


@pytest.mark.parametrize(
    ("desired", "available", "enough"),
    [
        (0, 0, False),
        (0, 1, False),
        (1, 0, False),
        (1, 1, True),
        (2, 0, False),
        (2, 1, True),
        (3, 1, False),
        (3, 2, True),
        (10, 8, False),
        (10, 9, True),
    ],
)
def test_enough_is_all_but_one_and_never_none(desired: int, available: int, enough: bool) -> None:
    live = replace(DONE, available=available)

    assert rollout.has_enough(live, desired) is enough


def test_an_agent_without_a_deployment_has_nothing() -> None:
    assert not rollout.has_enough(None, 1)
    assert not rollout.has_all(None, 1)


@pytest.mark.parametrize(
    ("live", "wanted", "decision"),
    [
        (DONE, 3, replicas.Keep()),
        (DONE, 5, replicas.SetTo(5, Why.REPLICAS, lowers=False)),
        (DONE, 1, replicas.SetTo(1, Why.REPLICAS, lowers=True)),
        (replace(DONE, replicas_owner=ReplicasOwner.MAIN), 5, replicas.HandOver()),
        (
            replace(DONE, replicas_owner=ReplicasOwner.OTHER),
            3,
            replicas.SetTo(3, Why.TAMPERED, lowers=False),
        ),
    ],
)
def test_who_writes_replicas_next(live: Rollout, wanted: int, decision: replicas.Decision) -> None:
    assert replicas.decide(live, wanted) == decision
