"""A pod dies, the system goes on."""

from __future__ import annotations

import os
import signal
import time

from tests.builders import agent, system
from tests.devcluster import running
from tests.e2e import load
from tests.e2e.conftest import OPERATOR_NS, operator_is_ready
from tests.kube import Kube, eventually, is_true

PER_SECOND = 100


def test_a_killed_pod_is_out_of_the_way_in_three_seconds(operator: Kube, ns: str) -> None:
    """SIGKILL of its process: no failure later than 3 s after, none with one retry 3 s later."""
    operator.apply(system("shop", ns, agents=[agent("front", replicas=2)]))
    eventually(
        "ready", lambda: is_true(operator.get("AgentSystem", "shop", ns), "Ready"), within_s=90
    )
    url = f"http://shop.{ns}.svc:8000/v1/chat/completions"
    client = load.start(operator, ns, url, per_second=PER_SECOND, seconds=20)

    pod, *_ = operator.list("Pod", ns, labels="agentsystem.dev/system=shop")
    (process,) = running.processes_of_pod(pod["metadata"]["uid"])
    os.kill(process, signal.SIGKILL)
    killed_at = time.time()
    seen = load.finish(operator, ns, client, within_s=60)

    assert [why for at, why in seen.failures if at > killed_at + 3] == []
    assert seen.lost_after_retry == 0
    assert seen.sent == 20 * PER_SECOND
    after = operator.get("Pod", pod["metadata"]["name"], ns)
    assert after is not None
    assert [each["restartCount"] for each in after["status"]["containerStatuses"]] == [1]
    eventually(
        "ready", lambda: is_true(operator.get("AgentSystem", "shop", ns), "Ready"), within_s=60
    )


def test_killing_the_leading_operator_hands_over(operator: Kube, ns: str) -> None:
    """The standby acts within 17 s of the leader's death, and no pod of a system is touched."""
    operator.apply(system("shop", ns))
    eventually(
        "ready", lambda: is_true(operator.get("AgentSystem", "shop", ns), "Ready"), within_s=90
    )
    holder = leader(operator)

    operator.delete("Pod", holder, OPERATOR_NS, grace_s=0)
    operator.apply(system("shop", ns, agents=[agent("front", instructions="Changed.")]))

    def acted() -> bool:
        (deployment,) = operator.list("Deployment", ns)
        return bool(deployment["metadata"]["generation"] > 1)

    eventually("the change is applied by the other", acted, within_s=17)
    eventually("both run again", lambda: operator_is_ready(operator), within_s=60)


def leader(kube: Kube) -> str:
    """Name of the operator pod that holds the Lease."""
    lease = kube.get("Lease", "agentsystem-shard-0", OPERATOR_NS) or {}
    identity = lease["spec"]["holderIdentity"]
    (name,) = (
        pod["metadata"]["name"]
        for pod in kube.list("Pod", OPERATOR_NS)
        if pod["metadata"]["uid"] in identity
    )
    return str(name)
