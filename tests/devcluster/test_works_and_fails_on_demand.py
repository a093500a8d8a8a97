"""A dev cluster does what a real one does, and breaks when it is told to."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import audit
from tests.devcluster import manifests, running

NAMESPACE = manifests.NAMESPACE
ADMIN = "devcluster-admin"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Cluster]:
    with running.raised("e2e-works", nodes=2) as raised:
        raised.load_probe(tmp_path_factory.mktemp("images"))
        raised.apply(manifests.namespace())
        raised.apply(manifests.autoscaled())  # first: metrics take half a minute
        raised.apply(manifests.one_pod_per_node())
        raised.apply(manifests.pod_with_claim("data"))
        for what in ("ds/echo", "deploy/busy"):
            raised.kubectl("rollout", "status", "-n", NAMESPACE, what, "--timeout=60s")
        wait_ready(raised, "pod/data")
        yield raised


def wait_ready(cluster: running.Cluster, pod: str) -> None:
    cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", pod, "--timeout=60s")


def on_data(cluster: running.Cluster, *command: str) -> str:
    return cluster.kubectl("exec", "-n", NAMESPACE, "data", "--", "/probe", *command).strip()


def pods(cluster: running.Cluster, app: str) -> dict[str, dict[str, str]]:
    found = cluster.kubectl("get", "pods", "-n", NAMESPACE, "-l", f"app={app}", "-o", "json")
    return {
        pod["spec"]["nodeName"]: {"name": pod["metadata"]["name"], "ip": pod["status"]["podIP"]}
        for pod in json.loads(found)["items"]
    }


def test_pods_reach_each_other_across_nodes(cluster: running.Cluster) -> None:
    echo = pods(cluster, "echo")
    assert sorted(echo) == ["node-1", "node-2"]
    for pod in echo.values():
        assert on_data(cluster, "get", f"http://{pod['ip']}:8000/") == pod["name"]


def test_a_service_has_a_name_and_spreads_over_nodes(cluster: running.Cluster) -> None:
    names = {pod["name"] for pod in pods(cluster, "echo").values()}
    answers: set[str] = set()

    def all_answered() -> bool:
        answers.add(on_data(cluster, "get", f"http://echo.{NAMESPACE}/"))
        return answers >= names

    running.eventually("every node answers", all_answered, within_s=30)
    assert answers == names


def test_a_load_client_inside_reaches_services(cluster: running.Cluster) -> None:
    address = cluster.kubectl(
        "get", "svc", "-n", NAMESPACE, "echo", "-o", "jsonpath={.spec.clusterIP}"
    )
    fetch = f"import urllib.request as r; print(r.urlopen('http://{address}/', timeout=5).status)"
    assert cluster.run("exec", "--", "python3", "-c", fetch) == "200\n"


def test_logs_and_port_forward_work(cluster: running.Cluster) -> None:
    assert cluster.kubectl("logs", "-n", NAMESPACE, "data") == "serving as data\n"
    forward = cluster.start("kubectl", "port-forward", "-n", NAMESPACE, "pod/data", ":8000")
    try:
        assert forward.stdout is not None
        # it says: Forwarding from 127.0.0.1:41234 -> 8000
        port = forward.stdout.readline().split(" -> ")[0].rpartition(":")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            assert answer.read() == b"data\n"
    finally:
        forward.terminate()
        forward.communicate(timeout=10)


def test_the_audit_log_counts_requests_by_user(cluster: running.Cluster) -> None:
    for number in range(3):
        cluster.kubectl("create", "configmap", f"counted-{number}", "-n", NAMESPACE)
    made = [
        request.name
        for request in audit.writes(cluster.name, user=ADMIN, namespace=NAMESPACE)
        if (request.verb, request.resource) == ("create", "configmaps")
    ]
    assert made == ["counted-0", "counted-1", "counted-2"]


def test_a_second_cluster_lives_beside_the_first(cluster: running.Cluster, tmp_path: Path) -> None:
    mine = tmp_path / "my-own-kubeconfig"
    mine.write_text("untouched")
    second = running.Cluster("e2e-second", dict(os.environ) | {"KUBECONFIG": str(mine)})
    try:
        second.run("up", "--nodes", "0")
        assert f"namespace/{NAMESPACE}" not in second.kubectl("get", "ns", "-o", "name")
        assert f"namespace/{NAMESPACE}" in cluster.kubectl("get", "ns", "-o", "name")
        assert second.run("kubeconfig") != cluster.run("kubeconfig")
    finally:
        second.run("down")
    assert mine.read_text() == "untouched"
    assert on_data(cluster, "get", "http://echo/") != ""


@pytest.mark.parametrize("program", ["apiserver", "etcd"])
def test_a_restarted_control_plane_remembers(cluster: running.Cluster, program: str) -> None:
    name = f"before-{program}"
    cluster.kubectl("create", "configmap", name, "-n", NAMESPACE)
    cluster.run("restart", program)
    assert name in cluster.kubectl("get", "configmap", "-n", NAMESPACE, "-o", "name")


def test_an_autoscaler_follows_cpu(cluster: running.Cluster) -> None:
    def replicas() -> int:
        path = "jsonpath={.spec.replicas}"
        return int(cluster.kubectl("get", "deploy", "-n", NAMESPACE, "busy", "-o", path))

    def scaled() -> bool:
        on_data(cluster, "get", "http://busy/burn")
        return replicas() > 1

    running.eventually("autoscaler adds a pod", scaled, within_s=100)
    assert "busy" in cluster.kubectl("top", "pods", "-n", NAMESPACE)


def round_trips(cluster: running.Cluster, address: str, count: int) -> list[float | None]:
    script = Path(running.__file__).with_name("ping.py")
    said = cluster.run("exec", "--", sys.executable, str(script), address, str(count))
    trips: list[float | None] = json.loads(said)
    return trips


def test_a_bad_cable_loses_and_delays_what_it_was_told_to(cluster: running.Cluster) -> None:
    """20 % each way is 36 % of round trips; 50 ms each way is 100 ms."""
    pod = pods(cluster, "echo")["node-2"]["ip"]
    cluster.run("node", "loss", "node-2", "--percent", "20")
    cluster.run("node", "delay", "node-2", "--ms", "50")
    assert "node-2: running (20 % lost each way, 50 ms late each way)" in cluster.run("status")

    trips = round_trips(cluster, pod, 400)
    back = [trip for trip in trips if trip is not None]
    lost = 1 - len(back) / len(trips)
    assert 0.24 < lost < 0.48  # five standard deviations
    assert min(back) >= 0.1
    assert statistics.median(back) < 0.2
    other = round_trips(cluster, pods(cluster, "echo")["node-1"]["ip"], 50)
    assert None not in other

    cluster.run("node", "mend", "node-2")
    mended = round_trips(cluster, pod, 100)
    assert statistics.median(trip for trip in mended if trip is not None) < 0.05
    assert None not in mended


def test_a_node_that_is_cut_off_from_the_apiserver_goes_on(cluster: running.Cluster) -> None:
    """Its pods answer those of others, by name too, while the cluster takes it for lost."""
    here = pods(cluster, "echo")["node-1"]
    there = pods(cluster, "echo")["node-2"]
    for _ in range(2):  # a second time changes nothing
        cluster.run("node", "cut", "node-2", "--from", "apiserver")
    assert "node-2: running (cut off from the apiserver)" in cluster.run("status")

    logs = cluster.attempt("kubectl", "logs", "-n", NAMESPACE, there["name"])
    assert "timeout" in logs.stderr
    condition = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    running.eventually(
        "taken for lost",
        lambda: cluster.kubectl("get", "node", "node-2", "-o", condition) == "Unknown",
        within_s=90,
    )
    assert cluster.run(*on(here, "get", f"http://{there['ip']}:8000/")).strip() == there["name"]
    # the other way round, from a namespace that the control plane has no part in
    ask = (
        f"import urllib.request as r; print(r.urlopen('http://{here['ip']}:8000/').read().decode())"
    )
    said = cluster.run("node", "exec", "node-2", "--", "python3", "-c", ask)
    assert said.strip() == here["name"]

    cluster.run("node", "mend", "node-2")
    cluster.kubectl("wait", "node/node-2", "--for=condition=Ready", "--timeout=60s")


def test_a_node_that_is_cut_off_hears_nobody(cluster: running.Cluster) -> None:
    there = pods(cluster, "echo")["node-2"]["ip"]
    here = pods(cluster, "echo")["node-1"]
    cluster.run("node", "cut", "node-2")
    assert round_trips(cluster, there, 20) == [None] * 20
    refused = cluster.attempt(*on(here, "get", f"http://{there}:8000/"))
    assert "Client.Timeout" in refused.stderr
    cluster.run("node", "mend", "node-2")
    assert None not in round_trips(cluster, there, 20)
    refused = cluster.attempt("node", "cut", "node-9")
    assert "this cluster has no node 'node-9'; its nodes: node-1, node-2" in refused.stderr


def on(pod: dict[str, str], *command: str) -> tuple[str, ...]:
    return ("kubectl", "exec", "-n", NAMESPACE, pod["name"], "--", "/probe", *command)


def test_data_outlives_a_stopped_node_and_goes_with_its_claim(cluster: running.Cluster) -> None:
    on_data(cluster, "write", "/data/note", "still here")
    where = "jsonpath={.spec.nodeName}"
    node = cluster.kubectl("get", "pod", "-n", NAMESPACE, "data", "-o", where)
    volumes = cluster.layout.state / "volumes" / node

    cluster.run("node", "stop", node)
    assert f"{node}: stopped" in cluster.run("status")
    other = next(pod for name, pod in pods(cluster, "echo").items() if name != node)
    reach = cluster.attempt(
        "kubectl", "exec", "-n", NAMESPACE, other["name"], "--", "/probe", "get", "http://data:1"
    )
    assert "no such host" in reach.stderr  # the other node still works and asks DNS

    cluster.run("node", "start", node)
    running.eventually("data readable again", lambda: readable(cluster), within_s=60)
    cluster.kubectl("delete", "pod,pvc", "-n", NAMESPACE, "data", "--timeout=60s")
    running.eventually("volume removed", lambda: not any(volumes.iterdir()), within_s=20)


def readable(cluster: running.Cluster) -> bool:
    done: subprocess.CompletedProcess[str] = cluster.attempt(
        "kubectl", "exec", "-n", NAMESPACE, "data", "--", "/probe", "read", "/data/note"
    )
    return done.stdout == "still here"
