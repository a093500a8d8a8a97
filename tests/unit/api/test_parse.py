"""Parsing: what a stored object becomes, and how problems are told."""

from datetime import UTC, datetime

import pydantic
import pytest

from agentsystem_operator.api.resource import AgentSystem, Invalid, Metadata, Problem, parse
from agentsystem_operator.api.spec import Agent
from agentsystem_operator.api.status import AgentSystemStatus, Condition
from tests.contract.api.resources import changed

SECRET = "sk-do-not-tell"  # stands for a value that must not be repeated


def _problems(changes: dict[str, object]) -> tuple[Problem, ...]:
    judged = parse(changed(changes))
    assert isinstance(judged, Invalid), judged
    return judged.problems


def test_problems_are_sorted_and_name_every_field_at_once() -> None:
    assert _problems({"spec.tier": "Prod", "spec.agents[0].replicas": 101, "spec.x": 1}) == (
        Problem("spec.agents[0].replicas", "must be at most 100"),
        Problem("spec.tier", "must be one of 'Development', 'Testing', 'Staging' or 'Production'"),
        Problem("spec.x", "is not a field of this API; remove it or correct its spelling"),
    )


def test_a_union_is_told_as_one_problem_of_its_field() -> None:
    changes: dict[str, object] = {"spec.runtime.resources": {"limits": {"cpu": "lots"}}}
    assert _problems(changes) == (
        Problem(
            "spec.runtime.resources.limits.cpu",
            "must be a whole number; or must be an amount of CPU such as 2, 0.5 or 250m",
        ),
    )


@pytest.mark.parametrize(
    "path",
    [
        "spec.tier",
        "spec.paused",
        "spec.agents[0].name",
        "spec.agents[0].replicas",
        "spec.agents[0].env",
        "spec.runtime.image",
        "spec.providers[0].scripted",
        "spec.memory",
    ],
)
def test_no_problem_repeats_a_value(path: str) -> None:
    for value in (f"{SECRET} ", [f"{SECRET} "], {"name": f"{SECRET} "}):
        assert all(SECRET not in str(problem) for problem in _problems({path: value}))


def test_unknown_field_is_named_without_what_could_break_a_line() -> None:
    (problem,) = _problems({"spec": {**changed({})["spec"], "a\nb\x1b[" + "x" * 99: 1}})
    assert problem.path == "spec.a?b??" + "x" * 59


def test_invalid_object_still_tells_which_one_it_is() -> None:
    judged = parse(changed({"spec.tier": "Prod", "metadata.uid": "u1", "metadata.generation": 7}))
    assert isinstance(judged, Invalid)
    want = Metadata(name="support", namespace="default", uid="u1", generation=7)
    assert judged.metadata == want


@pytest.mark.parametrize("body", [{}, {"spec": None}, {"metadata": []}, {"metadata": {"name": 1}}])
def test_nothing_that_is_no_resource_raises(body: dict[str, object]) -> None:
    judged = parse(body)
    assert isinstance(judged, Invalid)
    assert {problem.path.split(".")[0] for problem in judged.problems} == {"metadata", "spec"}


def test_metadata_that_nobody_reads_is_ignored() -> None:
    system = parse(changed({"metadata.managedFields": [], "metadata.labels": {"team": "shop"}}))
    assert isinstance(system, AgentSystem)
    assert system.metadata.labels == {"team": "shop"}


def test_deletion_is_seen() -> None:
    system = parse(changed({"metadata.deletionTimestamp": "2026-01-02T03:04:05Z"}))
    assert isinstance(system, AgentSystem)
    assert system.metadata.deletion_timestamp == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_unreadable_status_counts_as_none_and_unknown_fields_of_it_are_ignored() -> None:
    for status, want in (
        ({"conditions": "none"}, AgentSystemStatus()),
        ({"readyAgents": 1, "lastGood": "x"}, AgentSystemStatus(ready_agents=1)),
    ):
        system = parse(changed({"status": status}))
        assert isinstance(system, AgentSystem)
        assert system.status == want


def test_status_is_written_as_kubernetes_writes_it() -> None:
    condition = Condition.model_validate(
        {
            "type": "Ready",
            "status": "True",
            "reason": "AllAgentsReady",
            "message": "",
            "observed_generation": 3,
            "last_transition_time": datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
        }
    )
    assert AgentSystemStatus(conditions=(condition,), ready_agents=0).stated() == {
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "AllAgentsReady",
                "message": "",
                "observedGeneration": 3,
                "lastTransitionTime": "2026-01-02T03:04:05Z",
            }
        ],
        "readyAgents": 0,
    }


def test_field_names_of_python_are_unknown_in_a_resource_but_known_in_code() -> None:
    (problem,) = _problems({"spec.providers[0].open_ai": {}})
    assert problem.path == "spec.providers[0].open_ai"
    assert Agent(name="a", route="chat", instructions_from=None).instructions_from is None


def test_models_cannot_be_changed() -> None:
    system = parse(changed({}))
    assert isinstance(system, AgentSystem)
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        system.spec.paused = True  # type: ignore[misc]  # that is the point
