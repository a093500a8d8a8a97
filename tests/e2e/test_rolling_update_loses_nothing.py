"""A release is invisible to clients."""

from __future__ import annotations

from tests.builders import agent, system
from tests.e2e import load
from tests.kube import Kube, eventually, is_true


def ready(kube: Kube, name: str, ns: str) -> None:
    eventually("ready", lambda: is_true(kube.get("AgentSystem", name, ns), "Ready"), within_s=120)


def test_a_rolling_update_under_load_fails_no_request(operator: Kube, ns: str) -> None:
    """Two replicas, store Memory, no session id, 500 and more requests: 0 failures."""
    operator.apply(system("shop", ns, agents=[agent("front", replicas=2)]))
    ready(operator, "shop", ns)
    url = f"http://shop.{ns}.svc:8000/v1/chat/completions"
    client = load.start(operator, ns, url, per_second=20, seconds=40)
    before = {p["metadata"]["name"] for p in pods(operator, ns)}

    changed = agent("front", replicas=2, instructions="Be brief.")
    operator.apply(system("shop", ns, agents=[changed]))
    ready(operator, "shop", ns)
    after = {p["metadata"]["name"] for p in pods(operator, ns)}
    seen = load.finish(operator, ns, client, within_s=90)

    assert seen.sent >= 500
    assert seen.failures == []
    assert not before & after


def pods(kube: Kube, ns: str) -> list[dict[str, dict[str, str]]]:
    """The agent's running pods that are not about to go."""
    return [
        pod
        for pod in kube.list("Pod", ns, labels="agentsystem.dev/system=shop")
        if "deletionTimestamp" not in pod["metadata"]
    ]
