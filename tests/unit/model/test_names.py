"""Names of children: predictable, never longer than 63, never equal."""

import pytest

from agentsystem_operator.model import hashing, names
from agentsystem_operator.model.references import Kind, Ref, SystemKey

LONGEST = SystemKey("shop", "s" * 30)
AGENT = "a" * 20


def test_the_longest_names_fit() -> None:
    revision = hashing.revision({"any": "thing"})
    refs = [
        names.deployment(LONGEST, AGENT),
        names.config_map(LONGEST, AGENT, revision),
        names.controller_revision(LONGEST, revision),
        names.entry_service(LONGEST),
        *(names.agent_child(LONGEST, AGENT, kind) for kind in names.SHARED_KINDS),
    ]

    assert max(len(ref.name) for ref in refs) == 63


def test_the_names_are_those_that_the_design_states() -> None:
    key = SystemKey("shop", "support")

    assert names.deployment(key, "front") == Ref(Kind.DEPLOYMENT, "shop", "support--front-a")
    assert names.agent_child(key, "front", Kind.SERVICE).name == "support--front"
    assert names.config_map(key, "front", "0123456789").name == "support--front-0123456789"
    assert names.controller_revision(key, "0123456789").name == "support--0123456789"
    assert names.entry_service(key).name == "support"
    assert names.service_host(key, "front") == "support--front.shop.svc"


def test_a_kind_of_which_an_agent_has_several_needs_a_name_of_its_own() -> None:
    with pytest.raises(ValueError, match="more than one ConfigMap"):
        names.agent_child(LONGEST, AGENT, Kind.CONFIG_MAP)


def test_hashes_stay_what_they_are() -> None:
    """A changed hash is a rolled pod in every cluster."""
    assert hashing.revision({"b": [1, "x"], "a": None}) == "58d6788e92"
    assert hashing.revision({"a": None, "b": [1, "x"]}) == "58d6788e92"
