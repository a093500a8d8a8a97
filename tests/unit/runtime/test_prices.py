"""What tokens cost: exact amounts, the shipped table, and what a config says over it."""

from datetime import date
from decimal import Decimal
from importlib import resources

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.cost import money, prices
from agent_runtime.cost.prices import Counts, Price

MINI = "gpt-4o-mini"


@pytest.mark.parametrize(
    ("usage", "want"),
    [
        ({}, Counts()),
        ({"prompt_tokens": 1000, "completion_tokens": 500}, Counts(1000, 500)),
        (
            {"prompt_tokens": 1000, "prompt_tokens_details": {"cached_tokens": 800}},
            Counts(200, 0, 0, 800),
        ),
        (
            {
                "prompt_tokens": 1000,
                "completion_tokens": 7,
                "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 600},
            },
            Counts(300, 7, 600, 100),
        ),
        (
            {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 90}},
            Counts(0, 0, 0, 90),
        ),
        ({"prompt_tokens": "7", "completion_tokens": -1, "prompt_tokens_details": 3}, Counts()),
    ],
)
def test_tokens_are_told_apart_by_what_they_cost(usage: dict[str, object], want: Counts) -> None:
    assert prices.counts_of(usage) == want


def test_a_cost_is_exact_and_rounded_up_to_a_nano_dollar() -> None:
    price = prices.price(input="0.15", output="0.60", cache_write=None, cache_read="0.075")
    assert price.nano(Counts(1000, 500)) == 450_000
    assert price.nano(Counts(cache_read=2)) == 150
    assert prices.price(input="0.000001", output="0", cache_write=None, cache_read=None).nano(
        Counts(1)
    ) == 1  # fmt: skip


def test_cache_tokens_cost_what_input_does_unless_a_price_is_stated() -> None:
    price = prices.price(input="3", output="15", cache_write=None, cache_read=None)
    assert price == Price(3_000_000, 15_000_000, 3_000_000, 3_000_000)


@pytest.mark.parametrize("model", ["gpt-4o-mini-2024-07-18", "gpt-4o-mini-latest", MINI])
def test_a_dated_snapshot_costs_what_its_family_does(model: str) -> None:
    table = prices.table()
    assert table.of(model) == table.of(MINI) is not None


@pytest.mark.parametrize("model", ["gpt-4o-mini-tuned", "llama3", ""])
def test_a_model_without_a_row_has_no_price(model: str) -> None:
    assert prices.table().of(model) is None


def test_every_shipped_row_is_dated_and_names_its_source() -> None:
    document = orjson.loads(
        resources.files(prices.__package__).joinpath("prices.json").read_bytes()
    )
    rows = document["rows"]
    assert len({row["model"] for row in rows}) == len(rows) > 20
    for row in rows:
        assert date.fromisoformat(row["date"]) >= date(2025, 1, 1)
        assert row["source"] in document["sources"]
        assert 0 < Decimal(row["cacheRead"]) <= Decimal(row["input"]) < Decimal(row["output"])
        assert Decimal(row["cacheWrite"]) >= Decimal(row["input"])


@pytest.mark.parametrize("text", ["", "1.", ".5", "-1", "1e3", "1.1234567891", "1234567", "\u0661"])
def test_only_plain_decimals_are_amounts(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        money.scaled(text, money.USD)


@given(st.integers(0, 10**16))
def test_an_amount_reads_back_as_itself(nano: int) -> None:
    assert Decimal(money.usd(nano)) * money.USD == nano
