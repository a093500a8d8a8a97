"""What is concluded from what pods say of providers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentsystem_operator.api.reasons import ProviderState
from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.decide import providers
from agentsystem_operator.decide.providers import Finding, Outlook, Way
from agentsystem_operator.model.heard import Choice, Heard, Statement, Unrest
from tests import builders

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)
H, I, D, U = ProviderState  # noqa: E741
UP, UP_NOW = Statement(H), Statement(H, recent=True)
DOWN, DOWN_NOW = Statement(D, "connect"), Statement(D, "connect", recent=True)
PART_NOW = Statement(I, "timeout", recent=True)


@dataclass(frozen=True)
class Case:
    id: str
    said: Mapping[Statement, int]
    state: ProviderState
    reason: str = ""


JUDGED = (
    Case("nobody was heard", {}, U),
    Case("all are well", {UP_NOW: 3}, H),
    Case("nobody has asked it yet", {UP: 3}, H),
    Case("all are cut off", {DOWN_NOW: 3}, D, "connect"),
    Case("most are cut off", {DOWN_NOW: 2, UP_NOW: 1}, D, "connect"),
    Case("half are cut off", {DOWN_NOW: 1, UP_NOW: 1}, I, "connect"),
    Case("one of ten is", {DOWN_NOW: 1, UP_NOW: 9}, I, "connect"),
    Case("some models fail", {PART_NOW: 2}, I, "timeout"),
    Case("the idle do not outvote who asks", {DOWN_NOW: 1, UP: 9}, D, "connect"),
    Case("who asks now knows better than who failed once", {DOWN: 9, UP_NOW: 1}, H),
    Case("without requests the last word stands", {DOWN: 2, UP: 1}, D, "connect"),
    Case("most say why", {DOWN_NOW: 2, Statement(D, "auth", recent=True): 3}, D, "auth"),
)


@pytest.mark.parametrize("case", JUDGED, ids=lambda case: case.id)
def test_pods_are_judged(case: Case) -> None:
    assert providers.judged(case.said) == (case.state, case.reason)


def test_most_pods_say_which_provider_a_route_uses() -> None:
    chain = ("sim", "canned")

    assert providers.chosen({Choice("sim"): 1, Choice("canned"): 2}, chain) == "canned"
    assert providers.chosen({Choice("sim"): 1, Choice("canned"): 1}, chain) == "sim"
    assert providers.chosen({Choice("sim"): 5, Choice("canned", recent=True): 1}, chain) == "canned"
    assert providers.chosen({Choice("gone"): 2}, chain) == ""
    assert providers.chosen({}, chain) == ""


def spec() -> AgentSystemSpec:
    """`front` asks sim, then canned; nobody asks `spare`."""
    body = builders.system(
        "team",
        "shop",
        providers=[
            {"name": name, "type": "Scripted", "scripted": {}}
            for name in ("sim", "canned", "spare")
        ],
        routes=[
            {"name": "chat", "chain": [{"provider": "sim"}, {"provider": "canned"}]},
            {"name": "unused", "chain": [{"provider": "spare"}]},
        ],
    )["spec"]
    return AgentSystemSpec.model_validate(body)


def outlook(
    said: Mapping[Statement, int],
    *,
    uses: str = "sim",
    reported: Mapping[str, Any] | None = None,
    unrest: Mapping[str, Unrest] | None = None,
    listening_since: datetime = LONG_AGO,
) -> Outlook:
    heard = Heard(
        listening_since,
        {"sim": said, "canned": dict.fromkeys(said, 1) and {UP: 1}} if said else {},
        {"chat": {Choice(uses): 1}} if said else {},
    )
    return providers.of_system(spec(), heard, reported=reported or {}, unrest=unrest or {}, now=NOW)


def status(sim: str, *, active: str = "sim", since: str = "2026-01-01T11:00:00Z") -> dict[str, Any]:
    return {
        "providers": [
            {"name": "sim", "state": sim, "since": since, "reason": "connect"},
            {"name": "canned", "state": "Healthy", "since": since},
        ],
        "routes": [{"name": "chat", "active": active}],
    }


def test_providers_and_routes_that_no_agent_uses_are_not_judged() -> None:
    found = outlook({UP: 1})

    assert found.providers == (Finding("sim", H, NOW), Finding("canned", H, NOW))
    assert found.routes == (Way("chat", "sim", "sim"),)


def test_an_outage_is_told_at_once_with_its_reason_and_time() -> None:
    found = outlook({DOWN_NOW: 1}, uses="canned", reported=status("Healthy"))

    assert found.providers[0] == Finding("sim", D, NOW, "connect")
    assert found.routes == (Way("chat", "canned", "sim"),)


def test_since_and_reason_stand_while_the_state_does() -> None:
    other = Statement(D, "timeout", recent=True)
    found = outlook({other: 1}, uses="canned", reported=status("Down", active="canned"))

    assert found.providers[0] == Finding("sim", D, LONG_AGO, "connect")


def test_relief_waits_and_says_when_to_look_again() -> None:
    found = outlook({UP_NOW: 1}, reported=status("Down", active="canned"))
    due = NOW + timedelta(seconds=3)

    assert found.providers[0].state is D
    assert found.routes[0].active == "canned"
    assert found.look_again == due
    assert set(found.unrest) == {"provider/sim", "route/chat"}


def test_an_operator_that_has_just_begun_to_listen_repeats_what_was_reported() -> None:
    since = NOW - timedelta(seconds=9)
    for said in ({}, {UP_NOW: 1}):
        found = outlook(said, reported=status("Down", active="canned"), listening_since=since)
        assert found.providers[0] == Finding("sim", D, LONG_AGO, "connect")
        assert found.routes[0].active == "canned"
        assert found.look_again == since + providers.LISTENS


def test_after_ten_seconds_silence_is_unknown_and_never_down() -> None:
    found = outlook({}, reported=status("Healthy"), listening_since=NOW - providers.LISTENS)

    assert [each.state for each in found.providers] == [U, U]
    assert found.routes == (Way("chat", "", "sim"),)


def test_a_new_system_begins_unknown() -> None:
    assert outlook({}).providers[0] == Finding("sim", U, NOW)


def test_the_first_word_of_a_provider_is_news_at_once() -> None:
    """It goes into the same status as the route's, so that a new system is written once less."""
    found = outlook({UP_NOW: 1}, reported=status("Unknown", active=""))

    assert found.providers[0] == Finding("sim", H, NOW)
    assert found.routes == (Way("chat", "sim", "sim"),)
    assert found.look_again is None


def test_silence_after_trouble_ends_as_slowly_as_the_trouble_would() -> None:
    past = {"provider/sim": Unrest(None, 2, NOW - timedelta(seconds=30))}
    found = outlook({UP_NOW: 1}, reported=status("Unknown", active=""), unrest=past)

    assert found.providers[0].state is U
    assert found.look_again == NOW + timedelta(seconds=6)


@pytest.mark.parametrize(
    "reported",
    [
        {"providers": "gone"},
        {"providers": [{"name": "sim"}]},
        {"providers": [{"name": "sim", "state": "Sad", "since": "2026-01-01T11:00:00Z"}]},
        {"providers": [{"name": "sim", "state": "Down", "since": "yesterday"}], "routes": [7]},
    ],
)
def test_a_status_that_somebody_else_wrote_is_overruled(reported: dict[str, Any]) -> None:
    assert outlook({UP: 1}, reported=reported).providers[0] == Finding("sim", H, NOW)
