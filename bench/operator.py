"""What the operator asks of the apiserver: writes from create to Ready, and requests at rest.

Counted from the apiserver's audit log by user, never by the operator itself. Baseline of the
same run: one server-side apply per child, which is the least that any tool can do.
"""

from __future__ import annotations

import argparse
import collections
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import report
from tests import audit, builders
from tests.kube import Kube, Object, eventually, is_true

ROOT = Path(__file__).resolve().parent.parent
OPERATOR_NS = "agentsystem-system"
OPERATOR = "agentsystem-operator"
USER = f"system:serviceaccount:{OPERATOR_NS}:{OPERATOR}"
KINDS = (
    "ServiceAccount",
    "ConfigMap",
    "NetworkPolicy",
    "Service",
    "PodDisruptionBudget",
    "ControllerRevision",
    "Deployment",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m bench operator`."""
    parser.add_argument("--systems", type=int, default=10, help="how many systems (default 10)")
    parser.add_argument("--rest", type=int, default=900, help="seconds at rest (default 900)")
    parser.add_argument("--cluster", default="bench", help="dev cluster; raised and ended here")


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    with cluster(options.cluster) as kube:
        install(kube, options.cluster)
        created = [create(kube, number) for number in range(options.systems)]
        eventually(
            "the operator is at rest",
            lambda: not audit.restless(options.cluster, user=USER, for_s=15),
            within_s=300,
            every_s=3,
        )
        writes = [len(audit.writes(options.cluster, user=USER, namespace=ns)) for ns, _ in created]
        children = [count_children(kube, ns) for ns, _ in created]
        memory = [rss_mb(kube, pod) for pod in kube.list("Pod", OPERATOR_NS)]
        print(f"at rest; counting for {options.rest} s", flush=True)
        time.sleep(options.rest)
        at_rest = audit.restless(options.cluster, user=USER, for_s=options.rest)
        for kind, count in collections.Counter(f"{r.verb} {r.resource}" for r in at_rest).items():
            print(f"  at rest: {count} x {kind}")
    floor = f"{report.row('', '', children).median:g} by one apply per child"
    rows = (
        report.row("mutating requests, create to Ready", "1", writes, compared_with=floor),
        report.row("seconds, create to Ready", "s", [seconds for _, seconds in created]),
        report.row(f"requests at rest in {options.rest} s", "1", [len(at_rest)]),
        report.row("memory of an operator's pod", "MB", memory),
    )
    load = f"{options.systems} systems of one agent (1 replica, Memory), created one by one"
    report.show("operator: requests", load, rows, json_file=options.json)


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
    return sum(len(kube.list(kind, ns, labels=labels)) for kind in KINDS)


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


@contextmanager
def cluster(name: str) -> Iterator[Kube]:
    """Raise a dev cluster of that name and end it afterwards."""
    devcluster = [sys.executable, "-m", "devcluster"]
    try:
        subprocess.run([*devcluster, "up", "--name", name], cwd=ROOT, check=True)
        path = subprocess.run(
            [*devcluster, "kubeconfig", "--name", name],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout.strip()
        yield Kube(path, kubectl=[*devcluster, "kubectl", "--name", name, "--"])
    finally:
        subprocess.run([*devcluster, "down", "--name", name], cwd=ROOT, check=False)
