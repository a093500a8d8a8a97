"""Durations and quantities mean what Kubernetes means by them."""

import re
from datetime import timedelta
from decimal import Decimal
from ipaddress import AddressValueError, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentsystem_operator.api import rules, types


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("0s", timedelta(0)),
        ("500ms", timedelta(milliseconds=500)),
        ("1h30m", timedelta(minutes=90)),
        ("24h", timedelta(days=1)),
        ("1m1m", timedelta(minutes=2)),
        ("999999h999999h99999h", timedelta(hours=2_099_997)),
    ],
)
def test_duration_is_the_sum_of_its_parts(text: str, want: timedelta) -> None:
    assert types.timedelta_of(text) == want


@pytest.mark.parametrize("text", ["", "1", "1.5h", "-1s", "1 s", "1d", "1s\n", "PT1S", "1S"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 500ms, 30s or 1h30m"):
        types.timedelta_of(text)


@pytest.mark.parametrize(
    ("quantity", "want"),
    [
        (2, "2"),
        ("250m", "0.25"),
        ("0.5", "0.5"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("3Mi", "3145728"),
        ("2G", "2000000000"),
        ("1Ti", "1099511627776"),
    ],
)
def test_quantity_is_a_number_of_its_base_unit(quantity: int | str, want: str) -> None:
    assert types.amount_of(quantity) == Decimal(want)


@pytest.mark.parametrize("quantity", ["", "Gi", "1Gib", "1x", "-1"])
def test_what_is_no_quantity_is_refused(quantity: str) -> None:
    with pytest.raises(ValueError, match="must be a Kubernetes quantity"):
        types.amount_of(quantity)


def test_every_pattern_is_put_into_words() -> None:
    patterns = {value for name, value in vars(types).items() if name.endswith("_PATTERN")}
    assert patterns == set(types.PATTERN_MEANS)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


@given(
    st.one_of(
        st.ip_addresses(v=6).map(str),
        st.ip_addresses(v=6).map(lambda address: address.exploded),
        st.lists(st.sampled_from(["", "0", "db8", "fFfF", "12345"]), max_size=10).map(":".join),
    )
)
@example("::")
@example("1::")
@example("1:2:3:4:5:6:7::8")
def test_address_in_a_url_is_an_ipv6_address_exactly_when_python_says_so(text: str) -> None:
    accepted = re.fullmatch(rules.BASE_URL_PATTERN, f"http://[{text}]") is not None
    assert accepted == _is_ipv6(text)
