"""How long nobody acts when the operator ends: killed in place, lost with its pod, told to.

Pods on real nodes. A system is changed at the moment of the kill; the time runs from the kill to
the arrival of the first write that the change asks for, by the apiserver's clock. Each kill meets
fresh pods: kubelet restarts a container at once only the first time, and after minutes in the end.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from bench import report
from bench.operator import requests, stage
from bench.report import Table
from tests import audit, builders
from tests.devcluster import running
from tests.integration.operator_process import ACCOUNT as OPERATOR
from tests.integration.operator_process import NAMESPACE as OPERATOR_NS
from tests.kube import Kube, Object, eventually, is_true

NS = "bench-failover"
ACT_WITHIN_S = 60.0
READY_WITHIN_S = 180.0


def run(options: argparse.Namespace) -> Iterator[Table]:
    """End the leader in three ways, several times each."""
    with stage.cluster(options.cluster) as kube:
        requests.install(kube, options.cluster)
        kube.apply(builders.namespace(NS))
        kube.apply(builders.system("lean", NS, agents=[builders.agent(replicas=0)]))
        trial = Trial(kube, options.cluster)
        told = [trial.seconds(trial.stop) for _ in range(options.kills)]
        standby = [trial.seconds(trial.lose, fresh=True) for _ in range(options.kills)]
        trial.have(replicas=1)
        in_place = [trial.seconds(trial.kill, fresh=True) for _ in range(options.kills)]
    rows = (
        report.row("SIGKILL, restarted in place", "s", in_place),
        report.row("SIGKILL and its pod gone, taken over by the standby", "s", standby),
        report.row("SIGTERM, taken over by the standby", "s", told),
    )
    yield Table("operator: from its end to the next action", "1 system, 2 nodes", rows)


class Trial:
    """An installed operator whose leader is ended again and again."""

    def __init__(self, kube: Kube, cluster: str) -> None:
        self._kube = kube
        self._cluster = cluster
        self._turn = 0

    def have(self, *, replicas: int) -> None:
        """Scale the operator's Deployment."""
        self._kube.kubectl(
            "scale", "-n", OPERATOR_NS, f"deployment/{OPERATOR}", f"--replicas={replicas}"
        )
        eventually("pods", lambda: len(self._pods()) == replicas, within_s=READY_WITHIN_S)

    def seconds(self, end: Callable[[Object], None], *, fresh: bool = False) -> float:
        """Return the time from ending the leader to the next write of a child."""
        if fresh:
            self._kube.kubectl("rollout", "restart", "-n", OPERATOR_NS, f"deployment/{OPERATOR}")
        leader = self._settled()
        start = audit.log(self._cluster).stat().st_size
        self._turn += 1
        agent = builders.agent(replicas=0, instructions=f"Edition {self._turn}.")
        ended = datetime.now(UTC)
        end(leader)
        self._kube.apply(builders.system("lean", NS, agents=[agent]))
        acted = eventually(
            "the next write",
            lambda: self._first_write(start, since=ended),
            within_s=ACT_WITHIN_S,
        )
        assert acted is not None
        seconds = (acted - ended).total_seconds()
        print(f"{end.__name__} {self._turn}: {seconds:.1f} s", flush=True)
        return seconds

    def kill(self, pod: Object) -> None:
        """SIGKILL the operator's process in a pod, as running out of memory would."""
        for pid in running.processes_of_pod(pod["metadata"]["uid"]):
            os.kill(pid, signal.SIGKILL)

    def lose(self, pod: Object) -> None:
        """SIGKILL it and remove its pod, so that it does not come back.

        Restarted in place it goes on with the Lease that it still holds, before the standby may.
        """
        self.kill(pod)
        name = pod["metadata"]["name"]
        self._kube.kubectl("delete", "pod", "-n", OPERATOR_NS, name, "--grace-period=0", "--force")

    def stop(self, pod: Object) -> None:
        """Delete a pod as a drain or a rollout would."""
        self._kube.kubectl(
            "delete", "pod", "-n", OPERATOR_NS, pod["metadata"]["name"], "--wait=false"
        )

    def _settled(self) -> Object:
        """Return the leading pod once all pods are ready and the system has nothing to do."""
        self._kube.kubectl(
            *("rollout", "status", "-n", OPERATOR_NS, f"deployment/{OPERATOR}"),
            f"--timeout={READY_WITHIN_S:g}s",
        )
        eventually("one pod leads", lambda: self._leader() is not None, within_s=READY_WITHIN_S)
        eventually(
            "config valid",
            lambda: is_true(self._kube.get("AgentSystem", "lean", NS), "ConfigValid"),
            within_s=READY_WITHIN_S,
        )
        time.sleep(3)
        leader = self._leader()
        assert leader is not None
        return leader

    def _leader(self) -> Object | None:
        lease = self._kube.get("Lease", "agentsystem-shard-0", OPERATOR_NS) or {}
        holder = lease.get("spec", {}).get("holderIdentity")
        return next((pod for pod in self._pods() if pod["metadata"]["uid"] == holder), None)

    def _pods(self) -> list[Object]:
        pods = self._kube.list("Pod", OPERATOR_NS)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def _first_write(self, start: int, *, since: datetime) -> datetime | None:
        times = [
            request.received
            for request in audit.requests(self._cluster, user=stage.USER, start=start)
            if request.namespace == NS
            and request.verb == "patch"
            and request.resource == "configmaps"
            and request.received > since
        ]
        return min(times, default=None)
