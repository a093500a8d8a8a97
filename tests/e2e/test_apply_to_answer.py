"""One `kubectl apply` leads to agents that answer, at the price that the design states."""

from __future__ import annotations

from tests import audit, builders
from tests.conftest import ROOT
from tests.e2e import talk
from tests.e2e.conftest import OPERATOR, OPERATOR_NS
from tests.kube import Kube, conditions, eventually, is_true

OPERATOR_USER = f"system:serviceaccount:{OPERATOR_NS}:{OPERATOR}"


def test_the_sample_answers_and_remembers(operator: Kube, ns: str) -> None:
    """The sample becomes Ready, both agents answer, and a session is remembered."""
    operator.kubectl("apply", "-n", ns, "-f", str(ROOT / "config/samples/promptx.yaml"))
    operator.kubectl("wait", "-n", ns, "--for=condition=Ready", "asys/promptx", "--timeout=120s")

    first = talk.answer(talk.ask(operator, ns, "promptx", "Hello, my name is Ada.", session="s1"))
    second = talk.answer(talk.ask(operator, ns, "promptx", "What is my name?", session="s1"))
    other = talk.answer(talk.ask(operator, ns, "promptx", "What is my name?", session="s2"))

    assert first
    assert "Ada" in second
    assert "Ada" not in other


def test_an_acknowledged_turn_survives_the_death_of_its_pod(operator: Kube, ns: str) -> None:
    """SQLite on a volume: what was answered is remembered after a SIGKILL."""
    operator.kubectl("apply", "-n", ns, "-f", str(ROOT / "config/samples/promptx.yaml"))
    operator.kubectl("wait", "-n", ns, "--for=condition=Ready", "asys/promptx", "--timeout=120s")
    talk.answer(talk.ask(operator, ns, "promptx", "My name is Grace.", session="s1"))

    for pod in operator.list("Pod", ns, labels="agentsystem.dev/system=promptx"):
        operator.delete("Pod", pod["metadata"]["name"], ns, grace_s=0)

    def remembered() -> bool:
        response = talk.ask(operator, ns, "promptx", "What is my name?", session="s1")
        return response.is_success and "Grace" in talk.answer(response)

    eventually("the new pod remembers", remembered, within_s=90, every_s=1)


def test_create_to_ready_costs_fourteen_writes_and_rest_costs_none(
    operator: Kube, ns: str, cluster_name: str
) -> None:
    """9 children, 1 hand-over of replicas, 3 status, at most 1 Event; then nothing for 60 s.

    The third status is that of the providers, when the first pod has told of them.
    """
    operator.apply(builders.system("lean", ns))
    eventually(
        "ready", lambda: is_true(operator.get("AgentSystem", "lean", ns), "Ready"), within_s=60
    )

    eventually(
        "60 s without a request of the operator",
        lambda: not audit.restless(cluster_name, user=OPERATOR_USER, for_s=60),
        within_s=200,
        every_s=5,
    )
    writes = audit.writes(cluster_name, user=OPERATOR_USER, namespace=ns)
    assert len(writes) <= 14, writes
    kinds = [w.resource for w in writes]
    assert kinds.count("deployments") == 2, writes
    assert kinds.count("agentsystems/status") <= 3, writes
    assert kinds.count("events") <= 1, writes


def test_kubectl_shows_what_a_user_looks_for(operator: Kube, ns: str) -> None:
    """Columns, short name, category and explain."""
    operator.apply(builders.system("shown", ns, agents=[builders.agent("front")]))
    operator.kubectl("wait", "-n", ns, "--for=condition=Ready", "asys/shown", "--timeout=90s")

    table = operator.kubectl("get", "-n", ns, "agentops")
    explained = operator.kubectl("explain", "agentsystem.spec.memory.sessions.store")

    header, row = table.splitlines()[:2]
    assert header.split()[:3] == ["NAME", "READY", "REASON"], table
    assert row.split()[:2] == ["shown", "True"], table
    assert "SQLite" in explained, explained


def test_a_paused_system_keeps_its_children_untouched(operator: Kube, ns: str) -> None:
    """While paused nothing is written to children; unpaused, the change arrives."""
    operator.apply(builders.system("calm", ns, paused=True))
    eventually(
        "Paused",
        lambda: (
            conditions(operator.get("AgentSystem", "calm", ns)).get("Paused", {}).get("status")
            == "True"
        ),
        within_s=30,
    )
    assert operator.list("Deployment", ns) == []

    operator.apply(builders.system("calm", ns, paused=False))
    eventually(
        "ready", lambda: is_true(operator.get("AgentSystem", "calm", ns), "Ready"), within_s=60
    )
