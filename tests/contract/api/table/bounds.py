"""How many and how long: the last that is allowed and the first that is not. And other types."""

from collections.abc import Callable
from typing import Any

from tests.contract.api.case import Case, bad, good
from tests.contract.api.resources import REMOVED


def _items(
    path: str, most: int, item: Callable[[int], object], *, first: list[object] | None = None
) -> tuple[Case, Case]:
    """Return a list with as many items as are allowed, and one with one more."""
    before = first or []
    many = [*before, *(item(number) for number in range(most + 1 - len(before)))]
    return (
        good(f"{most} items in {path}", {path: many[:-1]}),
        bad(f"{most + 1} items in {path}", {path: many}, path),
    )


def _agent(number: int) -> dict[str, Any]:
    return {"name": f"n{number}", "route": "chat"}


def _with_entry(case: Case) -> Case:
    return Case(case.id, {**case.changes, "spec.workflow.entry": "n0"}, case.wrong)


CHAIN = [{"provider": "canned"}]
PEERS: list[dict[str, Any]] = [{"podSelector": {}}] * 21

_LENGTHS = (
    *map(_with_entry, _items("spec.agents", 200, _agent)),
    *_items(
        "spec.routes",
        50,
        lambda number: {"name": f"n{number}", "chain": CHAIN},
        first=[{"name": "chat", "chain": CHAIN}],
    ),
    *_items(
        "spec.providers",
        20,
        lambda number: {"name": f"n{number}", "type": "Scripted"},
        first=[{"name": "canned", "type": "Scripted"}],
    ),
    *_items("spec.routes[0].chain", 10, lambda _: {"provider": "canned"}),
    *_items("spec.runtime.env", 50, lambda number: {"name": f"V{number}"}),
    *_items("spec.agents[0].env", 50, lambda number: {"name": f"V{number}"}),
    *_items("spec.runtime.tolerations", 20, lambda _: {"operator": "Exists"}),
    *_items("spec.runtime.imagePullSecrets", 10, lambda number: {"name": f"s{number}"}),
    good("20 peers", {"spec.network": {"ingressFrom": PEERS[:20]}}),
    bad("21 peers", {"spec.network": {"ingressFrom": PEERS}}, "spec.network.ingressFrom"),
    bad("empty agents", {"spec.agents": []}, "spec.agents"),
    bad("empty routes", {"spec.routes": []}, "spec.agents", says="unknown route: chat"),
    bad("empty providers", {"spec.providers": []}, "spec.routes", says="unknown provider"),
    bad("empty chain", {"spec.routes[0].chain": []}, "spec.routes[0].chain"),
    good("instructions of 32768", {"spec.agents[0].instructions": "ü" * 32_768}),
    bad(
        "instructions of 32769",
        {"spec.agents[0].instructions": "ü" * 32_769},
        "spec.agents[0].instructions",
    ),
    bad(
        "value of 8193",
        {"spec.runtime.env": [{"name": "A", "value": "x" * 8193}]},
        "spec.runtime.env[0].value",
    ),
)


def _turns(count: object) -> dict[str, object]:
    return {"spec.memory.sessions": {"store": "Memory", "maxTurns": count}}


_NUMBERS = (
    *(good(f"{n} replicas", {"spec.agents[0].replicas": n}) for n in (0, 100)),
    *(
        bad(f"{n!r} replicas", {"spec.agents[0].replicas": n}, "spec.agents[0].replicas")
        for n in (-1, 101, "1", 1.5, True)
    ),
    *(good(f"{n} turns", _turns(n)) for n in (1, 1000)),
    *(bad(f"{n} turns", _turns(n), "spec.memory.sessions.maxTurns") for n in (0, 1001)),
)

_TYPES = (
    *(
        bad(f"no {field}", {f"spec.{field}": REMOVED}, f"spec.{field}")
        for field in (
            "tier",
            "providers",
            "routes",
            "agents",
        )
    ),
    bad("no spec", {"spec": REMOVED}, "spec"),
    bad("unknown tier", {"spec.tier": "Prod"}, "spec.tier"),
    bad("unknown store", {"spec.memory.sessions": {"store": "Etcd"}}, "spec.memory.sessions.store"),
    bad("no store", {"spec.memory.sessions": {"ttl": "1h"}}, "spec.memory.sessions.store"),
    bad("unknown type", {"spec.providers[0].type": "Bedrock"}, "spec.providers[0].type"),
    bad("paused in words", {"spec.paused": "true"}, "spec.paused"),
    bad("agents as an object", {"spec.agents": {}}, "spec.agents"),
    bad("agent as a string", {"spec.agents": ["front"]}, "spec.agents[0]"),
    bad("runtime as a list", {"spec.runtime": []}, "spec.runtime"),
    bad(
        "instructions as a number",
        {"spec.agents[0].instructions": 1},
        "spec.agents[0].instructions",
    ),
    good(
        "null is absent",
        {"spec.paused": None, "spec.agents[0].replicas": None, "spec.runtime": None},
    ),
    bad("null for what is required", {"spec.tier": None}, "spec.tier"),
    bad("unknown null", {"spec.expose": None}, "spec.expose"),
    bad("unknown field", {"spec.expose": {}}, "spec.expose"),
    bad(
        "unknown field of an agent",
        {"spec.agents[0].scaling": {"min": 1}},
        "spec.agents[0].scaling",
    ),
    bad("misspelt field", {"spec.agents[0].Route": "chat"}, "spec.agents[0].Route"),
    bad("snake case", {"spec.providers[0].open_ai": {}}, "spec.providers[0].open_ai"),
)

CASES = (*_LENGTHS, *_NUMBERS, *_TYPES)
