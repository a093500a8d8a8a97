"""The engine with a budget: what pods are given, and what is reported as money runs out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentsystem_operator.api.budget import BudgetPeriod
from agentsystem_operator.api.reasons import BudgetState, ProviderState
from agentsystem_operator.decide import budget
from agentsystem_operator.model.heard import Choice, Heard, Statement
from agentsystem_operator.model.references import Kind, Ref
from tests.unit.engine import systems
from tests.unit.engine.test_channel import listening
from tests.unit.engine.world import START, World

BUDGET: dict[str, Any] = {"amount": "25.00", "period": "Day", "warnAt": 70, "degradeAt": 85}
REDIS: dict[str, Any] = {"redis": {"host": "redis.data.svc"}}
UP = Statement(ProviderState.HEALTHY, recent=True)


def rendered(world: World) -> dict[str, Any]:
    """Return the newest config of the agent `front`."""
    (template,) = world.body(world.deployment("front"))["spec"]["template"]["spec"]["volumes"][:1]
    ref = Ref(Kind.CONFIG_MAP, "shop", template["configMap"]["name"])
    config: dict[str, Any] = json.loads(world.body(ref)["data"]["config.json"])
    return config


def says(world: World, *states: BudgetState) -> None:
    """Let that many pods say so, and nothing be wrong with the provider."""
    world.heard = Heard(
        START - timedelta(hours=1),
        {"canned": {UP: 2}},
        {"chat": {Choice("canned", recent=True): 2}},
        {state: states.count(state) for state in states},
    )


def spending() -> World:
    """A settled system that has spent little."""
    world = systems.settled(listening(systems.of_one(budget=BUDGET, stores=REDIS)))
    says(world, BudgetState.AVAILABLE, BudgetState.AVAILABLE)
    world.settle()
    world.advance(seconds=15)
    world.settle()
    assert world.condition("BudgetAvailable") == ("True", "BudgetLeft")
    assert world.wrote(world.settle) == []
    return world


@pytest.mark.parametrize(
    ("state", "condition", "words"),
    [
        (BudgetState.WARNING, ("True", "BudgetLow"), "at least 70 % of 25.00 USD a day are used"),
        (BudgetState.DEGRADED, ("True", "BudgetDegraded"), "answers cost less"),
        (BudgetState.EXHAUSTED, ("False", "BudgetExhausted"), "is refused until"),
        (BudgetState.UNKNOWN, ("Unknown", "LedgerUnreachable"), "cannot reach the ledger"),
    ],
)
def test_each_state_is_told_at_once_with_its_event_and_never_changes_ready(
    state: BudgetState, condition: tuple[str, str], words: str
) -> None:
    world = spending()
    says(world, state, state)
    evaluation = world.reconcile()

    assert world.condition("BudgetAvailable") == condition
    assert words in world.message("BudgetAvailable")
    assert world.condition("Ready")[0] == "True"
    assert [event.reason for event in evaluation.events] == [condition[1]]
    assert world.wrote(world.settle) == []


def test_the_message_moves_with_the_state_alone() -> None:
    world = spending()
    says(world, BudgetState.WARNING)
    world.settle()
    told = world.message("BudgetAvailable")
    world.advance(hours=5)
    assert [write for write in world.wrote(world.settle) if write == "status"] == []
    assert world.message("BudgetAvailable") == told


def test_a_new_period_is_told_seconds_after_it_has_begun() -> None:
    world = spending()
    says(world, BudgetState.EXHAUSTED)
    world.settle()
    says(world, BudgetState.AVAILABLE)
    world.reconcile()
    world.advance(seconds=5)
    evaluation = world.reconcile()

    assert world.condition("BudgetAvailable") == ("True", "BudgetLeft")
    assert [event.type.value for event in evaluation.events] == ["Normal"]
    assert "available again" in evaluation.events[0].message


def test_most_pods_are_believed_and_of_two_equals_the_worse() -> None:
    low, left = BudgetState.WARNING, BudgetState.AVAILABLE
    assert budget.judged({left: 2, low: 1}) == (left, "")
    assert budget.judged({left: 1, low: 1}) == (low, "")
    assert budget.judged({}) == (BudgetState.UNKNOWN, "")


def test_pods_that_are_not_heard_are_doubt_but_not_in_the_first_seconds() -> None:
    world = spending()
    world.heard = Heard(world.now)
    assert world.wrote(world.reconcile) == []
    world.advance(seconds=11)
    world.reconcile()
    assert world.condition("BudgetAvailable") == ("Unknown", "NoPodHeard")


def test_without_a_budget_nothing_is_said_of_one() -> None:
    world = systems.settled(listening(systems.of_one()))
    assert "budget" not in world.status
    assert "BudgetAvailable" not in [each["type"] for each in world.status["conditions"]]
    gone = spending()
    gone.edit(budget=None)
    gone.settle()
    assert "budget" not in gone.status


def test_while_the_spec_is_not_valid_what_was_told_stands() -> None:
    world = spending()
    says(world, BudgetState.EXHAUSTED)
    world.settle()
    since = world.status["budget"]["since"]
    world.edit(agents=[])
    world.settle()
    assert world.status["budget"] == {"state": "Exhausted", "since": since}
    assert world.condition("BudgetAvailable") == ("False", "BudgetExhausted")


@pytest.mark.parametrize(
    ("period", "moment", "end"),
    [
        (BudgetPeriod.DAY, datetime(2026, 12, 31, 23, 59, tzinfo=UTC), (2027, 1, 1)),
        (BudgetPeriod.MONTH, datetime(2028, 2, 1, tzinfo=UTC), (2028, 3, 1)),
        (BudgetPeriod.MONTH, datetime(2026, 12, 31, 23, 59, tzinfo=UTC), (2027, 1, 1)),
    ],
)
def test_periods_end_at_midnight_utc(
    period: BudgetPeriod, moment: datetime, end: tuple[int, int, int]
) -> None:
    assert budget.ends(period, moment) == datetime(*end, tzinfo=UTC)
    assert budget.ends(period, moment.replace(microsecond=1)) == datetime(*end, tzinfo=UTC)


def test_an_agent_has_the_prices_and_routes_that_it_may_ask_and_no_others() -> None:
    routes = [
        {"name": name, "chain": [{"provider": provider, "model": "m"}]}
        for name, provider in (("chat", "dear"), ("cheap", "poor"), ("other", "else"))
    ]
    providers = [
        {"name": name, "type": "OpenAI", "openAI": {"baseURL": f"https://{name}.example/v1"}}
        for name in ("dear", "poor", "else")
    ]
    prices = [
        {"provider": name, "model": "m", "input": "1", "output": "2"}
        for name in ("dear", "poor", "else")
    ]
    stated = {**BUDGET, "degradeRoute": "cheap", "prices": prices}
    world = systems.of_one(routes=routes, providers=providers, budget=stated, stores=REDIS)
    config = rendered(systems.settled(world))

    assert [route["name"] for route in config["routes"]] == ["chat", "cheap"]
    assert [provider["name"] for provider in config["providers"]] == ["dear", "poor"]
    assert [price["provider"] for price in config["budget"]["prices"]] == ["dear", "poor"]
    assert config["budget"] | {"prices": []} == {**stated, "prices": []}
    assert config["stores"]["redis"]["host"] == "redis.data.svc"
    assert config["contract"] == "v1.1"
    world.edit(budget={**stated, "prices": prices[:2]})  # without that of what it never asks
    assert [write for write in world.wrote(world.settle) if "Deployment" in write] == []
    assert rendered(world) == config


def test_a_ledger_that_was_never_reached_is_told_once_pods_are_heard_and_back() -> None:
    world = systems.settled(listening(systems.of_one(budget=BUDGET, stores=REDIS)))
    world.advance(seconds=30)
    world.settle()
    assert world.condition("BudgetAvailable") == ("Unknown", "NoPodHeard")
    says(world, BudgetState.UNKNOWN, BudgetState.UNKNOWN)
    world.settle()
    assert world.condition("BudgetAvailable") == ("Unknown", "LedgerUnreachable")
    says(world)
    world.settle()
    assert world.condition("BudgetAvailable") == ("Unknown", "NoPodHeard")
    says(world, BudgetState.UNKNOWN)
    world.settle()
    assert world.wrote(world.settle) == []


def test_a_budget_that_is_used_up_again_ends_with_its_own_period() -> None:
    world = spending()
    says(world, BudgetState.EXHAUSTED)
    world.settle()
    assert "refused until 2026-01-02T00:00:00Z" in world.message("BudgetAvailable")
    world.advance(hours=30)  # nobody watched at midnight
    world.settle()
    assert "refused until 2026-01-03T00:00:00Z" in world.message("BudgetAvailable")
    assert world.condition("BudgetAvailable") == ("False", "BudgetExhausted")
    assert world.wrote(world.settle) == []
