"""What a ControllerRevision holds is read back as it was written; anything else is no pin."""

from typing import Any

import pytest

from agentsystem_operator.model import records
from agentsystem_operator.model.observed import Pin

PIN = Pin(
    declared="d", revision="r", template=1, image="i", defaults={"replicas": 2, "store": "Memory"}
)


def test_a_pin_survives_the_way_through_the_cluster() -> None:
    data = {"agents": [records.entry("front", PIN, {"tier": "Testing"})]}

    assert records.pins_of(data) == {"front": PIN}


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"agents": None},
        {"agents": "front"},
        {"agents": [None, 1, {"name": 3}, {"name": "front"}]},
        {"agents": [{"name": "front", "pin": {**records.entry("x", PIN, {})["pin"], "image": 1}}]},
        {"agents": [{"name": "front", "pin": {"declared": "d", "revision": "r", "image": "i"}}]},
        {
            "agents": [
                {"name": "front", "pin": {**records.entry("x", PIN, {})["pin"], "defaults": [1]}}
            ]
        },
        {
            "agents": [
                {
                    "name": "front",
                    "pin": {**records.entry("x", PIN, {})["pin"], "defaults": {"replicas": []}},
                }
            ]
        },
    ],
    ids=str,
)
def test_what_is_not_ours_is_no_pin(data: Any) -> None:
    assert records.pins_of(data) == {}
