"""A budget runs out: who asks is told, so is who looks, and what was spent outlives the pod."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import httpx

from tests import builders
from tests.e2e import simulator, talk
from tests.kube import Kube, conditions, eventually, is_true

TOLD_WITHIN_S = 15.0
"""The pod reports once a second; the rest is for a busy machine."""
ANSWERS = 10
"""At 0.10 USD each they cost the whole amount."""
BUDGET = {
    "amount": "1.00",
    "period": "Month",
    "warnAt": 50,
    "degradeAt": 80,
    "prices": [{"provider": "sim", "model": "any", "input": "0", "output": "100000"}],
}


def thrifty(ns: str, **budget: Any) -> dict[str, Any]:
    return builders.system(
        "thrifty",
        ns,
        providers=[simulator.provider(ns)],
        routes=[{"name": "chat", "chain": [{"provider": "sim", "model": "any"}]}],
        memory={"sessions": {"store": "SQLite"}},
        budget={**BUDGET, **budget},
    )


def ask(kube: Kube, ns: str) -> httpx.Response:
    return talk.ask(kube, ns, "thrifty", "hello", max_tokens=1)


def told(kube: Kube, ns: str, reason: str, *, within_s: float = TOLD_WITHIN_S) -> str:
    """Wait until BudgetAvailable has that reason; return its message."""

    def condition() -> dict[str, Any]:
        return conditions(kube.get("AgentSystem", "thrifty", ns)).get("BudgetAvailable") or {}

    eventually(reason, lambda: condition().get("reason") == reason, within_s=within_s, every_s=0.2)
    return str(condition()["message"])


def kill(kube: Kube, ns: str) -> None:
    labels = "agentsystem.dev/system=thrifty,agentsystem.dev/agent=front"
    (pod,) = kube.list("Pod", ns, labels=labels)
    name = pod["metadata"]["name"]
    kube.kubectl("delete", "pod", name, "-n", ns, "--grace-period=0", "--force")


def test_a_spent_budget_refuses_and_outlives_its_pod_until_it_is_raised(
    operator: Kube, ns: str
) -> None:
    simulator.start(operator, ns)
    operator.apply(thrifty(ns))
    eventually(
        "ready", lambda: is_true(operator.get("AgentSystem", "thrifty", ns), "Ready"), within_s=90
    )
    told(operator, ns, "BudgetLeft", within_s=60)  # the authority reaches the pod

    half = [ask(operator, ns) for _ in range(ANSWERS // 2)]
    assert {answer.status_code for answer in half} == {HTTPStatus.OK}
    assert {answer.headers["x-agentsystem-cost-usd"] for answer in half} == {"0.1"}
    assert "at least 50 % of 1.00 USD a month are used" in told(operator, ns, "BudgetLow")
    rest = [ask(operator, ns) for _ in range(ANSWERS - len(half))]
    assert {answer.status_code for answer in rest} == {HTTPStatus.OK}
    message = told(operator, ns, "BudgetExhausted")
    assert message.startswith("1.00 USD a month are used up since ")
    assert message in operator.kubectl("describe", "asys", "thrifty", "-n", ns)
    assert is_true(operator.get("AgentSystem", "thrifty", ns), "Ready")
    _is_refused(ask(operator, ns))

    kill(operator, ns)
    eventually(
        "a new pod answers",
        lambda: ask(operator, ns).status_code != HTTPStatus.SERVICE_UNAVAILABLE,
        within_s=60,
    )
    _is_refused(ask(operator, ns))

    operator.apply(thrifty(ns, amount="3.00"))
    eventually(
        "there is money", lambda: ask(operator, ns).status_code == HTTPStatus.OK, within_s=90
    )
    told(operator, ns, "BudgetLeft", within_s=30)


def _is_refused(answer: httpx.Response) -> None:
    assert answer.status_code == HTTPStatus.TOO_MANY_REQUESTS, answer.text
    assert answer.json()["error"]["code"] == "insufficient_quota"
    assert answer.headers["x-agentsystem-budget"] == "exhausted"
