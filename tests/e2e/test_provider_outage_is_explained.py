"""A provider fails and heals; `kubectl describe` tells what happened, and no client notices."""

from __future__ import annotations

import time
from typing import Any

from tests import builders
from tests.e2e import load, simulator
from tests.kube import Kube, conditions, eventually, is_true

FAILS_WITHIN_S, HEALS_WITHIN_S = 5.0, 10.0
PER_SECOND = 10
LOOK_EVERY_S = 0.1
OUTAGE = {"rules": [{"match": {}, "fault": {"kind": "status", "status": 503}}]}
HEALED: dict[str, Any] = {"rules": []}


def shop(ns: str) -> dict[str, Any]:
    chain = [{"provider": "sim", "model": "any"}, {"provider": "canned"}]
    return builders.system(
        "shop",
        ns,
        agents=[builders.agent(replicas=2)],
        providers=[simulator.provider(ns), {"name": "canned", "type": "Scripted", "scripted": {}}],
        routes=[{"name": "chat", "chain": chain}],
    )


def told(kube: Kube, ns: str) -> tuple[str, str]:
    found: Any = conditions(kube.get("AgentSystem", "shop", ns)).get("ProvidersHealthy") or {}
    return str(found.get("status", "")), str(found.get("reason", ""))


def within(kube: Kube, ns: str, want: tuple[str, str], since: float, limit_s: float) -> float:
    """Wait for a verdict; returns how long it took since then."""
    eventually(
        f"ProvidersHealthy is {want}",
        lambda: told(kube, ns) == want,
        within_s=limit_s,
        every_s=LOOK_EVERY_S,
    )
    return time.monotonic() - since


def test_an_outage_is_told_in_five_seconds_and_its_end_in_ten(operator: Kube, ns: str) -> None:
    simulator.start(operator, ns)
    operator.apply(shop(ns))
    eventually(
        "ready", lambda: is_true(operator.get("AgentSystem", "shop", ns), "Ready"), within_s=90
    )
    well = ("True", "ProvidersAnswer")
    within(operator, ns, well, time.monotonic(), 60)  # the authority reaches the pods
    url = f"http://shop.{ns}.svc:8000/v1/chat/completions"
    client = load.start(operator, ns, url, per_second=PER_SECOND, seconds=60)

    failed_at = simulator.order(operator, ns, OUTAGE)
    noticed_s = within(operator, ns, ("False", "ProviderDown"), failed_at, FAILS_WITHIN_S)
    described = operator.kubectl("describe", "asys", "shop", "-n", ns)
    ready = is_true(operator.get("AgentSystem", "shop", ns), "Ready")
    healed_at = simulator.order(operator, ns, HEALED)
    cured_s = within(operator, ns, well, healed_at, HEALS_WITHIN_S)

    print(f"noticed after {noticed_s:.1f} s, cured after {cured_s:.1f} s")  # noqa: T201
    for words in ("ProviderDown", "provider 'sim' is Down since ", "(overloaded)"):
        assert words in described
    assert "route 'chat' uses 'canned'" in described
    assert ready
    events = operator.kubectl("describe", "asys", "shop", "-n", ns)
    assert "provider 'sim' answers again since " in events
    live = operator.get("AgentSystem", "shop", ns)
    assert live is not None
    assert [each["state"] for each in live["status"]["providers"]] == ["Healthy", "Healthy"]
    assert live["status"]["routes"] == [{"name": "chat", "active": "sim"}]
    load.stop(operator, ns, client)
    assert load.finish(operator, ns, client, within_s=90).failures == []
