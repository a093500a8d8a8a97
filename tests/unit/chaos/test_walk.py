"""The walk over the spec leaves out no field of the schema, and its homes are valid."""

import pytest

from agentsystem_operator.api import resource
from tests.chaos import walk
from tests.chaos.sweeps import spec_walk
from tests.kube import Object

FIELDS = [".".join(path) for path, _ in walk.fields(walk.schema())]


@pytest.mark.parametrize("home", walk.HOMES, ids=["memory", "disk", "keys", "tokens", "shared key"])
def test_every_home_is_valid(home: Object) -> None:
    judged = resource.parse(spec_walk.of(home, "default"))
    assert isinstance(judged, resource.AgentSystem), judged


def test_every_field_of_the_schema_is_walked_in_every_way() -> None:
    """A new field that no home states raises LookupError here."""
    walked = {step.name for step in walk.steps()}
    names = {name.replace(".[]", "[]").replace(".{}", "{}") for name in FIELDS}
    assert {name.rpartition(" ")[0] for name in walked} == names
    for kind in ("set", "changed", "unset", "wrong"):
        assert {f"{name} {kind}" for name in names} <= walked


def test_a_field_that_no_home_states_is_found() -> None:
    with pytest.raises(LookupError, match=r"spec\.brandNew"):
        walk.home_of(("spec", "brandNew"))


def test_what_is_wrong_is_refused_and_what_is_set_is_not() -> None:
    for step in walk.steps():
        name, _, kind = step.name.rpartition(" ")
        judged = [spec_walk.is_valid(spec) for spec in step.specs]
        if kind == "wrong":
            assert not any(judged), name
        if kind == "set":
            assert judged[-1], name


def test_three_seeds_walk_every_step_once_in_chains_of_five() -> None:
    count = -(-len(walk.steps()) // 15)
    walked = [
        step.name for seed in (1, 2, 3) for n in range(count) for step in spec_walk.chain(n, seed)
    ]
    assert sorted(walked) == sorted(step.name for step in walk.steps())


def test_other_seeds_deal_another_order_and_the_same_seed_the_same() -> None:
    assert spec_walk.chain(0, 1) == spec_walk.chain(0, 1)
    assert spec_walk.chain(0, 1) != spec_walk.chain(0, 4)
