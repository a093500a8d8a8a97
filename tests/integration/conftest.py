"""The order of the tests: what judges all the others comes last."""

from __future__ import annotations

import pytest

LAST = "test_rights_that_were_used.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that read what all others made the operator do behind them."""
    items.sort(key=lambda item: item.path.name == LAST)
