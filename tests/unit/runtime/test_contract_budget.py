"""The part `budget` of a rendered config: what is a mistake in it, and what absence means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.app import budgeting, config_file
from agent_runtime.app.config_file import Surroundings
from agent_runtime.app.contract import Config
from agent_runtime.app.contract_budget import BudgetEntry
from agent_runtime.cost import prices
from agent_runtime.problems import Invalid
from tests.contract.runtime.serving import config

PRICE = {"provider": "canned", "model": "m", "input": "0.15", "output": "0.60"}


def parsed(budget: dict[str, Any]) -> Config:
    document = config(contract="v1.1", budget=budget)
    surroundings = Surroundings(in_cluster=False, grace_seconds=5.0, state_home=Path("/nowhere"))
    return config_file.parse(json.loads(json.dumps(document)), surroundings)


def test_what_is_absent_means_what_the_contract_says() -> None:
    stated = {"amount": "25.00", "period": "Month", "warnAt": 80, "degradeAt": 90, "prices": []}
    assert parsed({"amount": "25.00"}).budget == BudgetEntry.model_validate(stated)


def test_prices_of_cached_tokens_are_by_default_that_of_input() -> None:
    found = budgeting.own_prices(parsed({"amount": "1", "prices": [PRICE]}).budget)
    assert found == {
        ("canned", "m"): prices.price(
            input="0.15", output="0.60", cache_write="0.15", cache_read="0.15"
        )
    }


@pytest.mark.parametrize(
    ("budget", "path"),
    [
        ({}, "budget.amount"),
        ({"amount": "1234567"}, "budget.amount"),
        ({"amount": "1.0123456789"}, "budget.amount"),
        ({"amount": 25}, "budget.amount"),
        ({"amount": "1", "period": "Week"}, "budget.period"),
        ({"amount": "1", "warnAt": 0}, "budget.warnAt"),
        ({"amount": "1", "degradeAt": 101}, "budget.degradeAt"),
        ({"amount": "1", "warnAt": 91}, "budget.degradeAt"),
        ({"amount": "1", "warnAt": 80, "degradeAt": 79}, "budget.degradeAt"),
        ({"amount": "1", "degradeRoute": "cheap"}, "budget.degradeRoute"),
        ({"amount": "1", "prices": [PRICE, PRICE]}, "budget.prices[1]"),
        ({"amount": "1", "prices": [{**PRICE, "input": "-1"}]}, "budget.prices[0].input"),
    ],
)
def test_a_mistake_is_told_where_it_is(budget: dict[str, Any], path: str) -> None:
    with pytest.raises(Invalid) as caught:
        parsed(budget)
    assert path in str(caught.value)


def test_bounds_are_inclusive() -> None:
    entry = {"amount": "999999.999999999", "warnAt": 100, "degradeAt": 100, "degradeRoute": "chat"}
    assert parsed(entry).budget
