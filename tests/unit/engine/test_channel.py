"""The engine with a channel: what pods are given, what is reported of providers, what is left."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from agentsystem_operator.api.reasons import ProviderState
from agentsystem_operator.model import names
from agentsystem_operator.model.heard import Choice, Heard, Statement
from agentsystem_operator.model.references import Kind
from agentsystem_operator.plan import channel, templates
from tests import builders
from tests.unit.engine import systems
from tests.unit.engine.test_edit import rolled_by
from tests.unit.engine.world import SETTINGS, START, World

PLACE = channel.Place("agentsystem-system", 8443, "channel.agentsystem-system.svc:8443")
WITH = replace(SETTINGS, channel=PLACE)
BEFORE = replace(SETTINGS, templates={1: templates.VERSIONS[1]})
DOWN = Statement(ProviderState.DOWN, "connect", recent=True)
UP = Statement(ProviderState.HEALTHY, recent=True)
CHAIN = {
    "providers": [
        {"name": name, "type": "Scripted", "scripted": {}} for name in ("canned", "spare")
    ],
    "routes": [{"name": "chat", "chain": [{"provider": "canned"}, {"provider": "spare"}]}],
}


def listening(world: World, **fields: Any) -> World:
    """An operator that has a channel and has listened for an hour."""
    world.settings = WITH
    world.authority = "BUNDLE"
    world.heard = Heard(START - timedelta(hours=1), **fields)
    return world


def says(world: World, statement: Statement, active: str) -> None:
    world.heard = Heard(
        START - timedelta(hours=1),
        {"canned": {statement: 2}, "spare": {UP: 2}},
        {"chat": {Choice(active, recent=True): 2}},
    )


def answering() -> World:
    """A system whose pods have long been heard, and have no complaints."""
    world = systems.settled(listening(systems.of_one(**CHAIN)))
    says(world, UP, "canned")
    world.settle()
    world.advance(seconds=5)
    world.settle()
    assert world.condition("ProvidersHealthy") == ("True", "ProvidersAnswer")
    return world


def authority(world: World) -> dict[str, Any]:
    return dict(world.body(names.authority(world.key))["data"])


def test_pods_are_given_a_token_of_their_own_and_whom_to_trust() -> None:
    world = systems.settled(listening(systems.of_one()))
    pod = world.body(world.deployment("front"))["spec"]["template"]["spec"]
    (volume,) = [each for each in pod["volumes"] if each["name"] == "channel"]

    assert volume["projected"]["sources"] == [
        {
            "serviceAccountToken": {
                "audience": "agentsystem.dev/channel",
                "expirationSeconds": 3600,
                "path": "token",
            }
        },
        {"configMap": {"name": "support--ca", "optional": True}},
    ]
    assert {"name": "AGENT_CHANNEL", "value": "/etc/agentsystem/channel"} in (
        pod["containers"][0]["env"]
    )
    assert authority(world) == {"address": PLACE.address, "ca.crt": "BUNDLE"}


def test_another_authority_or_address_rolls_no_pod() -> None:
    world = systems.settled(listening(systems.of_team()))
    world.authority = "OLD+NEW"
    assert world.wrote(world.settle) == ["apply ConfigMap 'support--ca'"]

    world.settings = replace(WITH, channel=replace(PLACE, address="elsewhere.svc:8443"))
    assert world.wrote(world.settle) == ["apply ConfigMap 'support--ca'"]
    assert authority(world) == {"address": "elsewhere.svc:8443", "ca.crt": "OLD+NEW"}


def test_while_the_authority_is_not_known_what_pods_have_stays() -> None:
    world = systems.settled(listening(systems.of_one()))
    world.authority = ""

    assert world.wrote(world.settle) == []
    assert authority(world)["ca.crt"] == "BUNDLE"


def test_pods_older_than_the_channel_are_left_alone_and_unknown() -> None:
    """The upgrade of an operator that had no channel: the status tells of it, nothing else."""
    world = systems.of_team()
    world.settings = BEFORE
    systems.settled(world)
    listening(world)

    assert world.wrote(world.settle) == ["status"]
    assert world.condition("ProvidersHealthy") == ("Unknown", "NoPodHeard")
    assert world.condition("Ready")[0] == "True"
    assert names.authority(world.key) not in world.things
    assert world.wrote(world.settle) == []


def test_the_channel_comes_with_an_agents_next_change() -> None:
    world = systems.of_team()
    world.settings = BEFORE
    systems.settled(world)
    listening(world)
    world.settle()
    world.edit(agents=[*systems.TEAM[:2], builders.agent("writer", instructions="Be long.")])

    assert rolled_by(world, world.settle) == {"writer"}
    assert egress_to_operator(world) == {"writer"}
    assert authority(world)["ca.crt"] == "BUNDLE"


def egress_to_operator(world: World) -> set[str]:
    return {
        thing.child.agent
        for ref, thing in world.things.items()
        if ref.kind is Kind.NETWORK_POLICY and channel.egress(PLACE) in thing.body["spec"]["egress"]
    }


def test_without_a_channel_nothing_is_said_of_providers() -> None:
    world = systems.settled(systems.of_one())

    assert "providers" not in world.status
    assert "ProvidersHealthy" not in [c["type"] for c in world.status["conditions"]]
    assert egress_to_operator(world) == set()


def test_an_outage_is_explained_and_changes_nothing_else() -> None:
    world = answering()
    says(world, DOWN, "spare")
    world.advance(seconds=1)
    assert world.wrote(world.settle) == ["status"]

    assert world.condition("ProvidersHealthy") == ("False", "ProviderDown")
    assert world.message("ProvidersHealthy") == (
        "provider 'canned' is Down since 2026-01-01T00:00:06Z (connect); route 'chat' uses 'spare'"
    )
    assert world.condition("Ready")[0] == "True"
    assert world.status["providers"][0] == {
        "name": "canned",
        "state": "Down",
        "since": "2026-01-01T00:00:06Z",
        "reason": "connect",
    }
    assert world.status["routes"] == [{"name": "chat", "active": "spare"}]
    assert [e.reason for e in world.events if e.reason.startswith("Provider")] == ["ProviderDown"]


def test_relief_is_written_once_it_has_lasted_and_told_in_an_event() -> None:
    world = answering()
    says(world, DOWN, "spare")
    world.settle()
    says(world, UP, "canned")
    world.advance(seconds=1)
    waiting = world.reconcile()
    assert waiting.status is None
    assert waiting.look_again == world.now + timedelta(seconds=3)

    world.advance(seconds=3)
    assert world.wrote(world.settle) == ["status"]
    assert world.condition("ProvidersHealthy") == ("True", "ProvidersAnswer")
    relief = [e.message for e in world.events if e.reason == "ProvidersAnswer"]
    assert relief == ["provider 'canned' answers again since 2026-01-01T00:00:09Z"]
    assert world.wrote(world.settle) == []


def test_an_operator_that_was_restarted_does_not_forget_an_outage() -> None:
    world = answering()
    says(world, DOWN, "spare")
    world.settle()
    world.advance(minutes=5)
    world.heard = Heard(world.now)
    world.remembered = type(world.remembered)()

    assert world.wrote(world.settle) == []
    world.advance(seconds=10)
    world.settle()
    world.advance(seconds=3)
    world.settle()
    assert world.condition("ProvidersHealthy") == ("Unknown", "NoPodHeard")


def test_what_was_reported_stands_while_the_spec_cannot_be_read() -> None:
    world = answering()
    says(world, DOWN, "spare")
    world.settle()
    before = world.status["providers"]
    world.spec = {"tier": "Nonsense"}
    world.generation += 1
    world.settle()

    assert world.condition("ConfigValid") == ("False", "SpecInvalid")
    assert world.status["providers"] == before
    assert world.condition("ProvidersHealthy") == ("False", "ProviderDown")
