"""Fake nodes hold pods by the hundred that nobody runs, and let no other pod in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.devcluster import running

PODS = 200
NODES = 5


@pytest.fixture(scope="module")
def cluster() -> Iterator[running.Cluster]:
    options = ("--fake-nodes", str(NODES), "--controller-qps", "200")
    with running.raised("e2e-fake", 0, *options) as raised:
        yield raised


def namespace(name: str, *, on_fake_nodes: bool) -> str:
    chosen = """
    scheduler.alpha.kubernetes.io/node-selector: type=kwok
    scheduler.alpha.kubernetes.io/defaultTolerations: '[{"key": "kwok.x-k8s.io/node"}]'
"""
    annotations = chosen.replace('"}', '", "operator": "Exists"}') if on_fake_nodes else " {}"
    return f"""
apiVersion: v1
kind: Namespace
metadata:
  name: {name}
  annotations:{annotations}
"""


def ready(cluster: running.Cluster, ns: str) -> int:
    said = cluster.kubectl("get", "deploy", "-n", ns, "many", "-o", "jsonpath={.status}")
    return int(said.partition('"readyReplicas":')[2].partition(",")[0] or 0)


def pods(cluster: running.Cluster, ns: str) -> list[str]:
    """The node and address of each pod, blank while it has none."""
    columns = "jsonpath={range .items[*]}{.spec.nodeName} {.status.podIP}{'\\n'}{end}"
    return cluster.kubectl("get", "pods", "-n", ns, "-o", columns).splitlines()


def test_hundreds_of_pods_are_ready_and_gone_in_seconds(cluster: running.Cluster) -> None:
    cluster.apply(namespace("bulk", on_fake_nodes=True))
    make = ("create", "deployment", "many", "-n", "bulk", "--image=none", f"--replicas={PODS}")
    cluster.kubectl(*make)
    running.eventually("all ready", lambda: ready(cluster, "bulk") == PODS, within_s=60)

    placed = pods(cluster, "bulk")
    assert len(set(placed)) == PODS  # no address twice
    assert {line.split()[0] for line in placed} == {f"fake-{n + 1}" for n in range(NODES)}

    cluster.kubectl("delete", "deployment", "many", "-n", "bulk")
    running.eventually("all gone", lambda: pods(cluster, "bulk") == [], within_s=60)


def test_a_pod_that_does_not_tolerate_them_stays_out(cluster: running.Cluster) -> None:
    cluster.apply(namespace("plain", on_fake_nodes=False))
    cluster.kubectl("run", "lost", "-n", "plain", "--image=none")

    def refused() -> bool:
        events = cluster.kubectl("get", "events", "-n", "plain", "-o", "jsonpath={..message}")
        return "untolerated taint" in events

    running.eventually("the scheduler says why", refused, within_s=20)
    assert pods(cluster, "plain") == [" "]


def test_the_settings_are_stated_and_outlive_a_stop(cluster: running.Cluster) -> None:
    cluster.run("stop")
    cluster.run("up")
    said = cluster.run("status")
    assert f"fake nodes: {NODES}" in said
    assert "controllers: 200 requests/s each" in said
    cluster.run("stop")
    cluster.run("up", "--fake-nodes", "1")
    assert cluster.kubectl("get", "nodes", "-o", "name").split() == ["node/fake-1"]
