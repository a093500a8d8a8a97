"""What the operator asks of the apiserver from a system's creation until it is Ready.

Counted from the apiserver's audit log by user, never by the operator itself. Baseline of the
same run: one server-side apply per child, which is the least that any tool can do.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Iterator

from bench import report
from bench.cluster import ROOT
from bench.operator import bare, stage
from bench.report import Table
from tests import audit, builders
from tests.integration.operator_process import ACCOUNT as OPERATOR
from tests.integration.operator_process import NAMESPACE as OPERATOR_NS
from tests.kube import Kube, Object, eventually, is_true

SYSTEMS = 10


def run(options: argparse.Namespace) -> Iterator[Table]:
    """Create systems one by one on a real node, with the operator installed as users install it."""
    with stage.cluster(options.cluster) as kube:
        install(kube, options.cluster)
        created = [create(kube, number) for number in range(SYSTEMS)]
        eventually(
            "the operator is at rest",
            lambda: not audit.restless(options.cluster, user=stage.USER, for_s=15),
            within_s=300,
            every_s=3,
        )
        writes = [
            len(audit.writes(options.cluster, user=stage.USER, namespace=ns)) for ns, _ in created
        ]
        children = [count_children(kube, ns) for ns, _ in created]
        memory = [rss_mb(kube, pod) for pod in kube.list("Pod", OPERATOR_NS)]
    floor = f"{report.row('', '', children).median:g} by one apply per child"
    rows = (
        report.row("mutating requests, create to Ready", "1", writes, compared_with=floor),
        report.row("seconds, create to Ready", "s", [seconds for _, seconds in created]),
        report.row("memory of an operator's pod", "MB", memory),
    )
    load = f"{SYSTEMS} systems of one agent (1 replica, Memory), created one by one"
    yield Table("operator: requests from create to Ready", load, rows)


def create(kube: Kube, number: int) -> tuple[str, float]:
    """Create one system in a namespace of its own; returns that and the seconds to Ready."""
    ns = f"bench-{number}"
    kube.apply(builders.namespace(ns))
    started = time.monotonic()
    kube.apply(builders.system("lean", ns))
    eventually("ready", lambda: is_true(kube.get("AgentSystem", "lean", ns), "Ready"), within_s=120)
    return ns, time.monotonic() - started


def count_children(kube: Kube, ns: str) -> int:
    """Count the children that the operator made in a namespace."""
    labels = "app.kubernetes.io/managed-by=agentsystem-operator"
    return sum(len(kube.list(kind, ns, labels=labels)) for kind in bare.KINDS)


def rss_mb(kube: Kube, pod: Object) -> float:
    """Resident memory of one operator process, from its own metrics."""
    name = pod["metadata"]["name"]
    text = kube.http.get(f"/api/v1/namespaces/{OPERATOR_NS}/pods/{name}:8080/proxy/metrics").text
    (line,) = (x for x in text.splitlines() if x.startswith("process_resident_memory_bytes "))
    return float(line.split()[1]) / 1e6


def install(kube: Kube, cluster_name: str) -> None:
    """Load the images and install the operator as a user does."""
    subprocess.run(["make", "images", f"NAME={cluster_name}"], cwd=ROOT, check=True)
    kube.kubectl("apply", "--server-side", "-k", str(ROOT / "config" / "default"))
    kube.kubectl("rollout", "status", "-n", OPERATOR_NS, f"deployment/{OPERATOR}", "--timeout=180s")
