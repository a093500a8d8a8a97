"""An edit reaches exactly the agents that it concerns."""

from __future__ import annotations

from tests import builders
from tests.builders import agent, config_map, system
from tests.e2e import talk
from tests.kube import Kube, Object, eventually, is_true

TEAM = [agent("front"), agent("research"), agent("writer")]


def generations(kube: Kube, ns: str) -> dict[str, int]:
    """Generation of each Deployment by agent."""
    return {
        d["metadata"]["labels"]["agentsystem.dev/agent"]: d["metadata"]["generation"]
        for d in kube.list("Deployment", ns)
    }


def settle(kube: Kube, body: Object) -> None:
    """Apply and wait until Ready for this very generation."""
    meta = kube.apply(body)["metadata"]
    eventually(
        "ready",
        lambda: is_true(kube.get("AgentSystem", meta["name"], meta["namespace"]), "Ready"),
        within_s=120,
    )


def test_new_instructions_roll_one_agent(operator: Kube, ns: str) -> None:
    settle(operator, system("team", ns, agents=TEAM))
    before = generations(operator, ns)

    changed = [agent("front"), agent("research", instructions="Be brief."), agent("writer")]
    settle(operator, system("team", ns, agents=changed))

    after = generations(operator, ns)
    assert {name for name in after if after[name] != before[name]} == {"research"}


def test_more_replicas_roll_nobody(operator: Kube, ns: str) -> None:
    """Store Memory with 2 replicas already: 2 -> 3 only scales."""
    settle(operator, system("team", ns, agents=[agent("front", replicas=2)]))
    before = operator.list("ReplicaSet", ns)

    settle(operator, system("team", ns, agents=[agent("front", replicas=3)]))
    eventually(
        "three available pods",
        lambda: operator.list("Deployment", ns)[0]["status"].get("availableReplicas") == 3,
        within_s=60,
    )

    assert [r["metadata"]["name"] for r in operator.list("ReplicaSet", ns)] == [
        r["metadata"]["name"] for r in before
    ]


def test_a_removed_agent_takes_its_children_along(operator: Kube, ns: str) -> None:
    settle(operator, system("team", ns, agents=TEAM))

    settle(operator, system("team", ns, agents=TEAM[:2]))

    def left() -> list[str]:
        kinds = ("Deployment", "Service", "ServiceAccount", "NetworkPolicy", "PodDisruptionBudget")
        return [
            f"{kind}/{item['metadata']['name']}"
            for kind in kinds
            for item in operator.list(kind, ns, labels="agentsystem.dev/agent=writer")
        ]

    eventually("the writer's children are gone", lambda: not left(), within_s=30)


def test_a_changed_config_map_reaches_the_pods_that_use_it(operator: Kube, ns: str) -> None:
    """Within 10 s the new template is written; an unrelated ConfigMap changes nothing."""
    spec = {
        "providers": [
            {
                "name": "canned",
                "type": "Scripted",
                "scripted": {"configMapKeyRef": {"name": "answers", "key": "answers.yaml"}},
            },
            {"name": "plain", "type": "Scripted", "scripted": {}},
        ],
        "routes": [
            {"name": "chat", "chain": [{"provider": "canned"}]},
            {"name": "other", "chain": [{"provider": "plain"}]},
        ],
        "agents": [agent("front"), agent("aside", route="other")],
    }
    operator.apply(config_map("answers", ns, answers_yaml='default: "old"'))
    settle(operator, system("team", ns, **spec))
    before = generations(operator, ns)
    assert talk.answer(talk.ask(operator, ns, "team", "hi")) == "old"

    operator.apply(config_map("unrelated", ns, answers_yaml="x"))
    operator.apply(config_map("answers", ns, answers_yaml='default: "new"'))

    def moved() -> set[str]:
        now = generations(operator, ns)
        return {name for name in now if now[name] != before[name]}

    eventually("a new template", moved, within_s=10)
    eventually(
        "the new answer",
        lambda: talk.answer(talk.ask(operator, ns, "team", "hi")) == "new",
        within_s=90,
        every_s=1,
    )
    assert moved() == {"front"}


def test_what_a_person_changed_on_a_child_is_restored(operator: Kube, ns: str) -> None:
    """Fields that the operator has an opinion on come back, within 10 s."""
    settle(operator, builders.system("team", ns))
    (deployment,) = operator.list("Deployment", ns)
    name = deployment["metadata"]["name"]

    operator.patch("Deployment", name, ns, {"spec": {"minReadySeconds": 77}})
    operator.patch("Service", "team", ns, {"spec": {"selector": {"agentsystem.dev/agent": "x"}}})
    operator.kubectl("scale", "-n", ns, f"deployment/{name}", "--replicas=4")

    def restored() -> bool:
        live = operator.get("Deployment", name, ns) or {}
        entry = operator.get("Service", "team", ns) or {}
        return bool(
            live["spec"]["minReadySeconds"] == 5
            and live["spec"]["replicas"] == 1
            and entry["spec"]["selector"]["agentsystem.dev/agent"] == "front"
        )

    eventually("restored", restored, within_s=10)
    operator.delete("Service", "team", ns)
    eventually("made again", lambda: operator.get("Service", "team", ns), within_s=10)
