"""Each condition and its reason, as a table: what is reported, and what it makes of it."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from agentsystem_operator.api.reasons import ConditionType, Reason
from agentsystem_operator.decide.references import Fault
from agentsystem_operator.decide.rollout import Stage
from agentsystem_operator.status import conditions
from agentsystem_operator.status.report import Report, Row
from tests.unit.status.reports import NOW, pods, report, row

MISSING = Fault(
    Reason.CONFIG_MAP_MISSING, "spec.agents[0]", "ConfigMap 'x' does not exist", passes=True
)
TAKEN = Fault(Reason.NAME_TAKEN, "spec.agents[0]", "Service 'x' exists")
ROLLING = row(stage=Stage.ROLLING, live=pods(2, 1), desired=2)
PENDING = row("research", stage=Stage.PENDING, live=None)
OVERDUE = row("research", stage=Stage.OVERDUE, live=pods(2, 1, deadline_exceeded=True), desired=2)


def short(*, since_s: int, stage: Stage = Stage.DONE) -> Report:
    since = NOW - timedelta(seconds=since_s)
    return report(row(live=pods(2, 1, unavailable_since=since), desired=2, stage=stage))


LOST = pods(1, 0, unavailable_since=NOW - timedelta(seconds=60))


def without_pod(*others: Row, node: str) -> Report:
    return report(row(live=LOST, claim="support--front", node=node), *others)


@dataclass(frozen=True)
class Case:
    id: str
    given: Report
    available: tuple[str, str] = ("True", "AllAgentsAvailable")
    config: tuple[str, str] = ("True", "Valid")
    degraded: tuple[str, str] = ("False", "AsDesired")
    progressing: tuple[str, str] = ("False", "RolledOut")
    ready: tuple[str, str] = ("True", "AllAgentsReady")
    stalled: tuple[str, str] = ("False", "NotStalled")


CASES = (
    Case("as declared", report()),
    Case(
        "just created",
        report(row(live=None, stage=Stage.PENDING), active=""),
        available=("False", "AgentsUnavailable"),
        progressing=("True", "RollingOut"),
        ready=("False", "AgentsUnavailable"),
    ),
    Case(
        "rolling with enough pods",
        report(ROLLING, active="s0"),
        progressing=("True", "RollingOut"),
        ready=("False", "RollingOut"),
    ),
    Case(
        "one agent is there, the other is not",
        report(row(), PENDING, active="s0"),
        available=("False", "AgentsUnavailable"),
        progressing=("True", "RollingOut"),
        ready=("False", "AgentsUnavailable"),
    ),
    Case(
        "one agent is stuck",
        report(row(), OVERDUE, active="s0"),
        degraded=("True", "DeadlineExceeded"),
        progressing=("False", "DeadlineExceeded"),
        ready=("False", "DeadlineExceeded"),
        stalled=("True", "DeadlineExceeded"),
    ),
    Case(
        "old pods are left of a revision that was left again",
        report(ROLLING),
        progressing=("True", "RollingOut"),
    ),
    Case("one pod of two was lost a moment ago", short(since_s=59)),
    Case(
        "one pod of two has been lost for a minute",
        short(since_s=60),
        degraded=("True", "BelowDesired"),
    ),
    Case(
        "the only pod has been lost for a minute, and its volume is on one node",
        without_pod(node="node-2"),
        available=("False", "AgentsUnavailable"),
        degraded=("True", "WaitingForVolume"),
        ready=("False", "AgentsUnavailable"),
    ),
    Case(
        "another agent has lost its pod too, for another reason",
        without_pod(row("research", live=LOST), node="node-2"),
        available=("False", "AgentsUnavailable"),
        degraded=("True", "BelowDesired"),
        ready=("False", "AgentsUnavailable"),
    ),
    Case(
        "one pod of two is missing in a rollout",
        short(since_s=300, stage=Stage.ROLLING),
        progressing=("True", "RollingOut"),
    ),
    Case(
        "no replicas wanted",
        report(row(live=pods(0), desired=0)),
        available=("False", "ScaledToZero"),
        ready=("False", "ScaledToZero"),
    ),
    Case(
        "a reference is missing, all runs",
        report(faults=(MISSING,)),
        config=("False", "ConfigMapMissing"),
        progressing=("False", "ConfigMapMissing"),
        ready=("False", "ConfigMapMissing"),
    ),
    Case(
        "a reference is missing, nothing runs",
        report(PENDING, faults=(MISSING,), desired="", active=""),
        available=("False", "AgentsUnavailable"),
        config=("False", "ConfigMapMissing"),
        progressing=("False", "ConfigMapMissing"),
        ready=("False", "ConfigMapMissing"),
    ),
    Case(
        "a reference is missing while an earlier change still rolls",
        report(ROLLING, faults=(MISSING,), active="s0"),
        config=("False", "ConfigMapMissing"),
        progressing=("True", "RollingOut"),
        ready=("False", "ConfigMapMissing"),
    ),
    Case(
        "a name is taken, which somebody has to free",
        report(faults=(MISSING, TAKEN)),
        config=("False", "ConfigMapMissing"),
        progressing=("False", "ConfigMapMissing"),
        ready=("False", "ConfigMapMissing"),
        stalled=("True", "NameTaken"),
    ),
    Case(
        "in doubt",
        report(doubt="texts"),
        config=("Unknown", "ObservationUnknown"),
        ready=("Unknown", "ObservationUnknown"),
    ),
    Case("paused", report(paused=True)),
    Case(
        "paused with a change that waits",
        report(row(stage=Stage.PENDING), paused=True, active="s0"),
        progressing=("False", "PausedBySpec"),
        ready=("False", "PausedBySpec"),
    ),
    Case(
        "paused in the middle of a rollout, which Kubernetes finishes",
        report(ROLLING, paused=True, active="s0"),
        progressing=("True", "RollingOut"),
        ready=("False", "RollingOut"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_conditions(case: Case) -> None:
    verdicts = conditions.all_of(case.given)
    said = {kind: (v.status.value, v.reason.value) for kind, v in verdicts.items()}

    assert said == {
        ConditionType.AVAILABLE: case.available,
        ConditionType.CONFIG_VALID: case.config,
        ConditionType.DEGRADED: case.degraded,
        ConditionType.PAUSED: (
            ("True", "PausedBySpec") if case.given.paused else ("False", "NotPaused")
        ),
        ConditionType.PROGRESSING: case.progressing,
        ConditionType.READY: case.ready,
        ConditionType.STALLED: case.stalled,
    }


def test_every_fault_is_told_with_its_path_up_to_five() -> None:
    faults = [Fault(Reason.NAME_TAKEN, f"spec.agents[{i}]", "taken") for i in range(7)]

    verdict = conditions.config_valid(report(faults=tuple(faults)))

    assert verdict.message == (
        "spec.agents[0]: taken; spec.agents[1]: taken; spec.agents[2]: taken;"
        " spec.agents[3]: taken; spec.agents[4]: taken and more"
    )


def test_a_message_has_a_bound() -> None:
    fault = Fault(Reason.SPEC_INVALID, "spec", "x" * 10_000)

    assert len(conditions.config_valid(report(faults=(fault,))).message) <= 2000


def test_an_agent_without_enough_pods_is_named() -> None:
    verdict = conditions.available(report(row(), PENDING))

    assert verdict.message == "too few available pods: research"
