"""The real apiserver and the models judge the same resources alike, and blame the same fields."""

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsystem_operator.api.resource import AgentSystem, parse
from tests.contract.api.case import Case
from tests.contract.api.cases import CASES
from tests.integration import crd
from tests.kube import Kube
from tests.property import strategies

# A request each: enough to meet every field now and then, few enough for a minute.
REMOTE = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
WORDS = ("", "x", "A b", "ü" * 70, "1h\n", "300s", "5m", "1Ei", "::/0", "10.0.0.0/08")
NUMBERS = (0, -1, 10**6, 10**19, 1.5)
SHAPES: tuple[object, ...] = (True, None, {}, [], ["x"], [None], {"name": "x"}, {"x": None})
JUNK = st.sampled_from((*WORDS, *NUMBERS, *SHAPES))


@pytest.fixture(scope="module")
def served(kube: Kube) -> Kube:
    """The test cluster, with the CRD served."""
    return crd.serve(kube)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_apiserver_judges_as_the_table_says(served: Kube, case: Case) -> None:
    """Same verdict as the models; every field it names is one that they name, and at least one."""
    answer = crd.create(served, case.body())
    if not case.wrong:
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return
    assert answer.status_code in crd.REFUSED
    assert crd.blamed(answer), answer.text
    assert crd.blamed(answer) <= set(case.wrong), answer.text
    assert case.says in answer.json()["message"]


@REMOTE
@given(body=strategies.resources())
def test_apiserver_accepts_what_the_strategies_generate(served: Kube, body: dict[str, Any]) -> None:
    answer = crd.create(served, body)
    assert answer.status_code == httpx.codes.CREATED, answer.text


@REMOTE
@given(body=strategies.resources(), data=st.data())
def test_apiserver_and_models_agree_on_broken_resources(
    served: Kube, body: dict[str, Any], data: st.DataObject
) -> None:
    strategies.break_somewhere(body, data.draw(JUNK), data.draw)
    answer = crd.create(served, body)
    accepted = isinstance(parse(body), AgentSystem)
    assert (answer.status_code == httpx.codes.CREATED) == accepted, answer.text
    assert accepted or answer.status_code in crd.REFUSED, answer.text
