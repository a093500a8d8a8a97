"""The table of tiers, and what a spec makes of it."""

from typing import Any

import pytest

from agentsystem_operator.api import tiers
from agentsystem_operator.api.resource import AgentSystem, parse
from agentsystem_operator.api.types import SessionStore, Tier
from tests.contract.api.resources import API_KEYS, changed

MEMORY = {"store": "Memory"}
SQLITE = {"store": "SQLite", "ttl": "1h"}


def _system(**spec: Any) -> AgentSystem:
    changes = {f"spec.{field}": value for field, value in spec.items()}
    system = parse(changed({"spec.guard.auth": API_KEYS, **changes}))
    assert isinstance(system, AgentSystem), system
    return system


@pytest.mark.parametrize(
    ("tier", "sessions", "want"),
    [
        ("Development", None, (SessionStore.MEMORY, 1)),
        ("Testing", None, (SessionStore.SQLITE, 1)),
        ("Testing", MEMORY, (SessionStore.MEMORY, 1)),
        ("Staging", MEMORY, (SessionStore.MEMORY, 2)),
        ("Staging", SQLITE, (SessionStore.SQLITE, 1)),
        ("Production", MEMORY, (SessionStore.MEMORY, 3)),
        ("Production", SQLITE, (SessionStore.SQLITE, 1)),
    ],
)
def test_tier_and_store_choose_the_replicas(
    tier: str, sessions: dict[str, str] | None, want: tuple[SessionStore, int]
) -> None:
    spec = _system(tier=tier, memory={"sessions": sessions}).spec
    defaults = tiers.TABLE[spec.tier]
    assert (spec.sessions(defaults).store, spec.replicas(spec.agents[0], defaults)) == want


@pytest.mark.parametrize("replicas", [0, 1, 7])
def test_stated_replicas_win_over_every_tier(replicas: int) -> None:
    for tier in Tier:
        spec = _system(
            tier=tier,
            memory={"sessions": MEMORY},
            agents=[{"name": "a", "route": "chat", "replicas": replicas}],
        ).spec
        assert spec.replicas(spec.agents[0], tiers.TABLE[tier]) == replicas


def test_pinned_defaults_are_used_in_place_of_the_current_ones() -> None:
    """An operator with another table rolls nothing: what counts is the table that is passed in."""
    spec = _system().spec
    assert spec.replicas(spec.agents[0], tiers.TABLE[Tier.PRODUCTION]) == 3


def test_only_production_insists_on_different_hosts_and_only_it_and_staging_wait_long() -> None:
    table = {tier: (row.spread_required, row.pre_stop.seconds) for tier, row in tiers.TABLE.items()}
    assert table == {
        Tier.DEVELOPMENT: (False, 2),
        Tier.TESTING: (False, 2),
        Tier.STAGING: (False, 15),
        Tier.PRODUCTION: (True, 15),
    }


def test_entry_is_the_only_agent_or_the_one_named() -> None:
    two = [{"name": "a", "route": "chat"}, {"name": "b", "route": "chat"}]
    assert _system().spec.entry == "front"
    assert _system(agents=two, workflow={"entry": "b"}).spec.entry == "b"
