"""What is written as status, and when it is worth a write (I7)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agentsystem_operator.api.reasons import Pinned, Reason
from agentsystem_operator.api.status import AgentSystemStatus
from agentsystem_operator.decide.pins import HeldBack
from agentsystem_operator.decide.references import Fault
from agentsystem_operator.decide.rollout import Stage
from agentsystem_operator.model import hashing
from agentsystem_operator.model.observed import Remembered
from agentsystem_operator.status import body, conditions
from agentsystem_operator.status.report import Report
from tests.unit.status.reports import NOW, pods, report, row

PAST = Remembered()


def composed(given: Report, previous: dict[str, Any] | None = None) -> dict[str, Any]:
    return body.compose(given, conditions.all_of(given), previous or {})


def times(status: dict[str, Any]) -> dict[str, str]:
    return {c["type"]: c["lastTransitionTime"] for c in status["conditions"]}


def later(given: Report, **by: float) -> Report:
    return replace(given, now=given.now + timedelta(**by))


def test_the_body_is_one_that_the_api_describes() -> None:
    held_back = (HeldBack(Pinned.IMAGE, "a:1", "a:2"),)
    status = composed(
        report(
            row(claim="support--front", held_back=held_back), row("research", stage=Stage.PENDING)
        )
    )

    parsed = AgentSystemStatus.model_validate(status)
    assert parsed.body() == status
    assert {key: value for key, value in status.items() if key != "conditions"} == {
        "observedGeneration": 3,
        "revision": {"desired": "s1", "active": "s1"},
        "readyAgents": 2,
        "totalAgents": 2,
        "agents": [
            {
                "name": "front",
                "slot": "a",
                "desired": 1,
                "ready": 1,
                "revision": "r1",
                "reason": "AgentReady",
                "claim": "support--front",
                "pinned": [{"setting": "Image", "held": "a:1", "next": "a:2"}],
            },
            {
                "name": "research",
                "slot": "a",
                "desired": 1,
                "ready": 1,
                "revision": "r1",
                "reason": "RollingOut",
            },
        ],
    }


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (row(), "AgentReady"),
        (row(live=pods(0), desired=0), "ScaledToZero"),
        (row(live=pods(2, 1), desired=2), "BelowDesired"),
        (row(live=None, stage=Stage.PENDING), "RollingOut"),
        (row(stage=Stage.OVERDUE), "DeadlineExceeded"),
    ],
)
def test_the_reason_of_an_agent(given: Any, reason: str) -> None:
    assert composed(report(given))["agents"][0]["reason"] == reason


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"paused": True}, "PausedBySpec"),
        ({"faults": (Fault(Reason.NAME_TAKEN, "spec.agents[0]", "taken"),)}, "NameTaken"),
    ],
)
def test_an_agent_that_waits_says_for_what(more: dict[str, Any], reason: str) -> None:
    given = report(row(live=None, stage=Stage.PENDING), **more)

    assert composed(given)["agents"][0]["reason"] == reason


def test_a_transition_time_moves_only_with_its_status() -> None:
    before = composed(report())
    hidden = later(report(row(live=pods(1, 0))), hours=1)

    after = composed(hidden, before)

    old, new = times(before), times(after)
    assert {kind for kind in old if old[kind] != new[kind]} == {"Available", "Ready"}
    assert new["Ready"] == "2026-01-01T13:00:00Z"


def test_a_new_reason_or_generation_moves_no_transition_time() -> None:
    before = composed(report(row(live=None, stage=Stage.PENDING), active=""))
    given = report(row(live=pods(0), desired=0), generation=9)

    after = composed(later(given, hours=1), before)

    assert times(after)["Available"] == times(before)["Available"]


def test_the_same_status_is_not_written() -> None:
    given = report()
    status = composed(given)

    writing = body.weigh(composed(later(given, hours=1), status), status, report=given, past=PAST)

    assert (writing.status, writing.look_again) == (None, None)


def test_a_change_of_a_condition_is_written_at_once() -> None:
    before = composed(report())
    given = report(row(live=pods(1, 0)))
    status = composed(given, before)

    assert body.weigh(status, before, report=given, past=PAST).status == status


def test_counts_are_written_once_after_they_stood_still() -> None:
    before = composed(report(row(live=pods(3), desired=3)))
    lost = report(row(live=pods(3, 2), desired=3))
    status = composed(lost, before)

    first = body.weigh(status, before, report=lost, past=PAST)
    assert first.status is None
    assert first.look_again == NOW + timedelta(seconds=10)

    early = body.weigh(status, before, report=later(lost, seconds=9), past=first.remembered)
    assert early.status is None
    assert early.look_again == first.look_again

    due = body.weigh(status, before, report=later(lost, seconds=10), past=early.remembered)
    assert due.status == status


def test_counts_that_go_on_moving_wait_on() -> None:
    before = composed(report(row(live=pods(3), desired=3)))
    lost = report(row(live=pods(3, ready=2), desired=3))
    first = body.weigh(composed(lost, before), before, report=lost, past=PAST)

    more = later(report(row(live=pods(3, ready=1), desired=3)), seconds=11)
    moved = body.weigh(composed(more, before), before, report=more, past=first.remembered)

    assert (first.status, moved.status) == (None, None)
    assert moved.look_again == NOW + timedelta(seconds=21)


def test_agents_without_pods_that_finish_one_after_another_are_not_a_status_each() -> None:
    """What is said of each agent moves too, and counts of 0 never do."""
    names = [f"n{number}" for number in range(20)]

    def after(done: int) -> Report:
        rows = [
            row(name, live=pods(0), desired=0, stage=Stage.DONE if at < done else Stage.ROLLING)
            for at, name in enumerate(names)
        ]
        return later(report(*rows, active="old"), seconds=done)

    before = composed(after(0))
    past, written = PAST, list[Any]()
    for done in range(1, 20):
        given = after(done)
        writing = body.weigh(composed(given, before), before, report=given, past=past)
        past = writing.remembered
        written.append(writing.status)
    assert written == [None] * 19


def test_counts_that_came_back_cost_nothing() -> None:
    before = composed(report())
    gone = report(row(live=pods(1, 1, ready=0)))
    first = body.weigh(composed(gone, before), before, report=gone, past=PAST)

    back = later(report(), seconds=3)
    again = body.weigh(composed(back, before), before, report=back, past=first.remembered)

    assert (first.status, again.status, again.look_again) == (None, None, None)


def test_the_memory_of_refusals_survives() -> None:
    past = Remembered(refused={}, accepted_ownership={})
    given = report()

    status = composed(given)
    kept = body.weigh(status, {}, report=given, past=past).remembered

    assert kept == replace(past, composed=hashing.of(status), composed_since=NOW)


@pytest.mark.parametrize("previous", [{}, {"revision": None}, {"revision": {"active": 3}}])
def test_an_unreadable_revision_is_none(previous: dict[str, Any]) -> None:
    assert body.revision(previous, "active") == ""
