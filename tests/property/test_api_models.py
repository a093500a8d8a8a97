"""What is valid parses and survives being written out; what is broken is explained."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentsystem_operator.api.resource import AgentSystem, Invalid, parse
from tests.property import strategies

JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner)),
    max_leaves=6,
)


@given(strategies.resources())
def test_generated_resources_are_valid_and_parse_to_themselves(body: dict[str, Any]) -> None:
    system = parse(body)
    assert isinstance(system, AgentSystem), system
    assert parse({**body, "spec": system.spec.body()}) == system
    assert parse({**body, "spec": system.spec.stated()}) == system


@given(strategies.resources(), st.data())
def test_a_broken_resource_is_explained_with_paths(
    body: dict[str, Any], data: st.DataObject
) -> None:
    strategies.break_somewhere(body, data.draw(JUNK), data.draw)
    judged = parse(body)
    if isinstance(judged, Invalid):
        assert judged.problems
        for problem in judged.problems:
            assert problem.path.split(".")[0].split("[")[0] in {
                "metadata",
                "spec",
                "kind",
                "apiVersion",
            }
            assert problem.message
