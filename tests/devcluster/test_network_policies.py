"""A dev cluster enforces NetworkPolicies, from a pod's first packet and without its apiserver.

Connections are tried from pods' own network namespaces, entered from their node: that works
without kubectl, which needs the apiserver.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.devcluster import manifests, running

NAMESPACE = manifests.NAMESPACE
# "within a second", and as much again as a busy machine may take
IN_FORCE_S = 3.0

# nsenter needs no namespace's name: the one that has the address is the pod's
_INSIDE = """
for each in /run/netns/*; do
  nsenter --net=$each ip -4 addr | grep -q "inet $1/" || continue
  exec nsenter --net=$each python3 -c "$2" "$3" "$4"
done
echo "no pod with $1"; exit 1
"""
_TRY = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 8000), timeout=float(sys.argv[2])).close()
    print("connected")
except TimeoutError:
    print("silence")
"""
# every attempt is a connection of its own; prints how long it took until one was answered
_UNTIL_CONNECTED = """
import socket, sys, time
begun = time.monotonic()
while time.monotonic() < begun + float(sys.argv[2]):
    try:
        socket.create_connection((sys.argv[1], 8000), timeout=0.1).close()
    except TimeoutError:
        continue
    print(time.monotonic() - begun)
    break
"""

CLOSED = f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: echo, namespace: {NAMESPACE}}}
spec:
  podSelector: {{matchLabels: {{app: echo}}}}
  ingress: []
"""
OPEN_TO_ECHO = CLOSED.replace(
    "[]",
    """
  - from: [{podSelector: {matchLabels: {app: echo}}}]
    ports: [{port: 8000}]""",
)
CAGED = f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: caged, namespace: {NAMESPACE}}}
spec:
  podSelector: {{matchLabels: {{app: caged}}}}
  policyTypes: [Egress]
"""


def once(name: str, target: str, node: str) -> str:
    """A pod whose first and only act is to connect; its name is its label `app`."""
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {NAMESPACE}, labels: {{app: {name}}}}}
spec:
  restartPolicy: Never
  nodeName: {node}{manifests.SECURITY}
  containers:
  - name: probe
    image: {running.PROBE_IMAGE}
    args: [get, "http://{target}:8000/"]
    securityContext:
      allowPrivilegeEscalation: false
      capabilities: {{drop: [ALL]}}
"""


@dataclass(frozen=True)
class Pod:
    node: str
    name: str
    address: str


@dataclass(frozen=True)
class World:
    """A pod `echo` on each of two nodes, and `data`, which is on one of them."""

    cluster: running.Cluster

    def pods(self) -> dict[str, Pod]:
        """Return the pods by node, `data` by its name."""
        listed = self.cluster.kubectl("get", "pods", "-n", NAMESPACE, "-o", "json")
        found = {}
        for each in json.loads(listed)["items"]:
            name, node = each["metadata"]["name"], each["spec"]["nodeName"]
            key = node if name.startswith("echo") else name
            found[key] = Pod(node, name, each["status"].get("podIP", ""))
        return found

    def run_in(self, pod: Pod, program: str, *arguments: str) -> str:
        inside = ["sh", "-c", _INSIDE, "sh", pod.address, program, *arguments]
        return self.cluster.run("node", "exec", pod.node, "--", *inside).strip()

    def connects(self, source: Pod, target: Pod) -> bool:
        said = self.run_in(source, _TRY, target.address, "1.5")
        assert said in {"connected", "silence"}, said
        return said == "connected"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running.raised("e2e-policies", nodes=2) as raised:
        raised.load_probe(tmp_path_factory.mktemp("images"))
        raised.apply(manifests.namespace())
        raised.apply(manifests.one_pod_per_node())
        raised.apply(manifests.pod_with_claim("data"))
        raised.kubectl("rollout", "status", "-n", NAMESPACE, "ds/echo", "--timeout=60s")
        raised.kubectl(
            "wait", "-n", NAMESPACE, "--for=condition=Ready", "pod/data", "--timeout=60s"
        )
        yield World(raised)


@pytest.fixture
def closed(world: World) -> Iterator[World]:
    """Nobody may reach `echo`."""
    pods = world.pods()
    assert world.connects(pods["data"], pods["node-1"])
    world.cluster.apply(CLOSED)
    running.eventually(
        "in force",
        lambda: not any(world.connects(pods["data"], pods[n]) for n in ("node-1", "node-2")),
        within_s=10,
    )
    yield world
    world.cluster.kubectl("delete", "networkpolicy", "-n", NAMESPACE, "echo", "--ignore-not-found")


def test_a_policy_holds_on_a_node_and_between_nodes(closed: World) -> None:
    """The kubelet's probes are the exception: an isolated pod stays Ready."""
    pods = closed.pods()
    first, second, data = pods["node-1"], pods["node-2"], pods["data"]
    assert not closed.connects(first, second)

    closed.cluster.apply(OPEN_TO_ECHO)
    running.eventually("open to echo", lambda: closed.connects(first, second), within_s=10)

    assert closed.connects(second, first)
    assert not closed.connects(data, first)
    assert not closed.connects(data, second)
    answer = closed.cluster.attempt(
        "kubectl", "exec", "-n", NAMESPACE, "data", "--", "/probe", "get", "http://echo/"
    )
    assert "deadline exceeded" in answer.stderr
    time.sleep(4)  # probes come each second and may fail three times
    ready = closed.cluster.kubectl(
        "get", "ds", "-n", NAMESPACE, "echo", "-o", "jsonpath={.status.numberReady}"
    )
    assert ready == "2"


def test_a_change_acts_on_new_connections_within_a_second(closed: World) -> None:
    pods = closed.pods()
    closed.cluster.kubectl("delete", "networkpolicy", "-n", NAMESPACE, "echo")
    took = closed.run_in(pods["data"], _UNTIL_CONNECTED, pods["node-1"].address, "10")
    assert took, "not within 10 s"
    assert float(took) < IN_FORCE_S


def test_a_pods_first_packet_is_judged(world: World) -> None:
    """Its policy holds before the apiserver knows its address, a second or two after its start."""
    target = world.pods()["node-1"]
    world.cluster.apply(CAGED)
    for name in ("caged", "free"):
        world.cluster.apply(once(name, target.address, "node-2"))

    def phases() -> list[str]:
        path = "jsonpath={.status.phase}"
        return [
            world.cluster.kubectl("get", "pod", "-n", NAMESPACE, name, "-o", path)
            for name in ("caged", "free")
        ]

    running.eventually("both ended", lambda: phases() == ["Failed", "Succeeded"], within_s=60)
    said = world.cluster.kubectl("logs", "-n", NAMESPACE, "caged")
    assert "deadline exceeded" in said


def test_the_last_rules_stay_while_the_apiserver_is_down(closed: World) -> None:
    pods = closed.pods()
    outage = closed.cluster.start("restart", "apiserver", "--down-for", "10")
    down = ("kubectl", "get", "ns", "--request-timeout=1s")
    running.eventually("down", lambda: closed.cluster.attempt(*down).returncode != 0, within_s=9)

    assert not closed.connects(pods["data"], pods["node-1"])
    assert not closed.connects(pods["data"], pods["node-2"])
    assert outage.poll() is None, "the apiserver was back too early for this to say anything"

    assert outage.wait(timeout=60) == 0
    closed.cluster.kubectl("delete", "networkpolicy", "-n", NAMESPACE, "echo")
    running.eventually(
        "followed again", lambda: closed.connects(pods["data"], pods["node-1"]), within_s=40
    )


def test_the_last_rules_stay_when_an_enforcer_is_killed(closed: World) -> None:
    pods = closed.pods()
    enforcers = {
        pid
        for pid in running.tree(running.recorded_pid(closed.cluster))
        if " network-policies " in running.command_of(pid)
    }
    assert len(enforcers) == 2
    for pid in enforcers:
        os.kill(pid, signal.SIGKILL)

    end = time.monotonic() + 4  # well after its successors have loaded what they found
    while time.monotonic() < end:
        assert not closed.connects(pods["data"], pods["node-1"])
    closed.cluster.kubectl("delete", "networkpolicy", "-n", NAMESPACE, "echo")
    running.eventually(
        "followed again", lambda: closed.connects(pods["data"], pods["node-1"]), within_s=20
    )


def test_a_cluster_can_be_brought_up_without(closed: World) -> None:
    closed.cluster.run("stop")
    closed.cluster.run("up", "--no-network-policies")

    def ready() -> bool:
        found = closed.cluster.kubectl("get", "ds", "-n", NAMESPACE, "echo", "-o", "json")
        status = json.loads(found)["status"]
        return bool(status.get("numberReady") == 2)

    running.eventually("echo is back", ready, within_s=90)
    restarted = closed.pods()
    assert closed.cluster.kubectl("get", "networkpolicy", "-n", NAMESPACE, "echo", "-o", "name")
    running.eventually(
        "not enforced",
        lambda: closed.connects(restarted["node-1"], restarted["node-2"]),
        within_s=30,
    )
