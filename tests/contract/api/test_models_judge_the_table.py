"""The models accept what is good and blame exactly the fields that are wrong."""

from collections.abc import Iterator

import pytest

from agentsystem_operator.api.base import ApiModel, Rule
from agentsystem_operator.api.resource import AgentSystem, Invalid, parse
from tests.contract.api.case import Case
from tests.contract.api.cases import CASES


def test_every_case_has_a_name_of_its_own() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    assert sum(1 for case in CASES if case.wrong) >= 60


def _rules(model: type[ApiModel]) -> Iterator[Rule]:
    yield from model.RULES
    for child in model.__subclasses__():
        yield from _rules(child)


def test_every_rule_is_broken_by_some_case() -> None:
    said = [case.says.split(": ")[0] for case in CASES if case.says]
    untried = [rule for rule in _rules(ApiModel) if not any(s in rule.message for s in said)]
    assert untried == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_models_judge_as_the_table_says(case: Case) -> None:
    judged = parse(case.body())
    problems = judged.problems if isinstance(judged, Invalid) else ()
    assert {problem.path for problem in problems} == set(case.wrong)
    assert not case.says or any(case.says in problem.message for problem in problems)
    assert isinstance(judged, AgentSystem if not case.wrong else Invalid)


@pytest.mark.parametrize("case", [c for c in CASES if not c.wrong], ids=lambda case: case.id)
def test_what_is_written_out_parses_to_the_same_system(case: Case) -> None:
    system = parse(case.body())
    assert isinstance(system, AgentSystem)
    for spec in (system.spec.body(), system.spec.stated()):
        assert parse({**case.body(), "spec": spec}) == system
