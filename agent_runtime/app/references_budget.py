"""The rules between the fields of `budget`."""

from collections.abc import Iterator
from typing import Any

from agent_runtime.problems import Problem

WARN_AT, DEGRADE_AT = 80, 90  # what their absence means


def check(document: dict[str, Any]) -> Iterator[Problem]:
    """Return what does not fit together."""
    budget = document.get("budget")
    if isinstance(budget, dict):
        yield from _route_exists(budget, document.get("routes"))
        yield from _warns_first(budget)
        yield from _prices_are_there_once(budget.get("prices"))


def _route_exists(budget: dict[str, Any], routes: Any) -> Iterator[Problem]:  # a JSON edge
    wanted = budget.get("degradeRoute")
    found = routes if isinstance(routes, list) else []
    names = [route.get("name") for route in found if isinstance(route, dict)]
    if isinstance(wanted, str) and wanted not in names:
        known = ", ".join(sorted(name for name in names if isinstance(name, str)))
        what = f"there is no route {wanted!r}"
        yield Problem("budget.degradeRoute", what, f"use one of: {known or '(none is defined)'}")


def _warns_first(budget: dict[str, Any]) -> Iterator[Problem]:
    warn, degrade = budget.get("warnAt", WARN_AT), budget.get("degradeAt", DEGRADE_AT)
    if type(warn) is int and type(degrade) is int and warn > degrade:
        what = f"{degrade} is below warnAt, which is {warn}"
        yield Problem("budget.degradeAt", what, "warn first, then degrade: warnAt <= degradeAt")


def _prices_are_there_once(prices: Any) -> Iterator[Problem]:  # a JSON edge
    seen: set[tuple[str, str]] = set()
    for number, row in enumerate(prices if isinstance(prices, list) else ()):
        if not isinstance(row, dict):
            continue
        key = str(row.get("provider")), str(row.get("model"))
        if key in seen:
            what = f"model {key[1]!r} of provider {key[0]!r} has a price already"
            yield Problem(f"budget.prices[{number}]", what, "remove one of the two")
        seen.add(key)
