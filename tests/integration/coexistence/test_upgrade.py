"""Another version of the operator takes over a real cluster: nothing is rolled (I21).

Two processes, one after the other. What they write is counted in the apiserver's audit log, and
the generations of Deployments are compared, so neither says anything of itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentsystem_operator.plan import templates
from tests import audit, builders
from tests.integration.operator_process import IMAGE, RELEASED, USER, operator
from tests.kube import Kube, eventually

NEXT = "tests.integration.coexistence.next_operator"
NEXT_IMAGE = "localhost/agent-runtime:next"
TEMPLATE, NEXT_TEMPLATE = str(templates.NEWEST), str(templates.NEWEST + 1)
TEAM = (builders.agent("front"), builders.agent("research"))


@dataclass(frozen=True)
class Upgrade:
    id: str
    module: str
    image: str
    held: dict[str, tuple[str, str]]
    """What the status then says of an agent of tier Development."""


IMAGE_HELD = {"Image": (IMAGE, NEXT_IMAGE)}
REST_HELD = {
    "Template": (TEMPLATE, NEXT_TEMPLATE),
    "Replicas": ("1", "2"),
    "PreStop": ("2s", "3s"),
    "Spread": ("preferred", "required"),
}
UPGRADES = (
    Upgrade("another default image", RELEASED, NEXT_IMAGE, IMAGE_HELD),
    Upgrade("another image, tier table and template", NEXT, NEXT_IMAGE, IMAGE_HELD | REST_HELD),
)


def deployments(kube: Kube, ns: str) -> dict[str, dict[str, Any]]:
    return {live["metadata"]["name"]: live for live in kube.list("Deployment", ns)}


def generations(kube: Kube, ns: str) -> dict[str, int]:
    return {name: live["metadata"]["generation"] for name, live in deployments(kube, ns).items()}


def held(kube: Kube, ns: str) -> dict[str, dict[str, tuple[str, str]]]:
    """Return what is held back of each agent."""
    live = kube.get("AgentSystem", "team", ns) or {}
    return {
        agent["name"]: {
            each["setting"]: (each["held"], each["next"]) for each in agent.get("pinned", ())
        }
        for agent in live.get("status", {}).get("agents", ())
    }


def is_settled(kube: Kube, ns: str) -> bool:
    """Say whether both Deployments stand and the status is of the newest spec."""
    live = kube.get("AgentSystem", "team", ns) or {}
    seen = live.get("status", {}).get("observedGeneration")
    owners = [len(each["metadata"]["managedFields"]) for each in deployments(kube, ns).values()]
    return len(owners) == len(TEAM) and seen == live["metadata"]["generation"]


@pytest.mark.parametrize("upgrade", UPGRADES, ids=lambda upgrade: upgrade.id)
def test_the_next_operator_rolls_nobody_and_says_what_it_holds_back(
    upgrade: Upgrade, credentials: Path, kube: Kube, cluster_name: str, ns: str
) -> None:
    log = credentials.parent / "log"
    with operator(credentials, log, "--identity", "pod-1"):
        kube.apply(builders.system("team", ns, agents=list(TEAM)))
        eventually("the system is made", lambda: is_settled(kube, ns), within_s=15)
        time.sleep(4)  # the last of its writes
        assert held(kube, ns) == {"front": {}, "research": {}}
    before, writes = generations(kube, ns), len(audit.writes(cluster_name, user=USER, namespace=ns))

    flags = ("--identity", "pod-1", "--runtime-image", upgrade.image)
    with operator(credentials, log, *flags, module=upgrade.module):
        eventually("it is told", lambda: held(kube, ns)["front"], within_s=15)
        time.sleep(4)  # for whatever else it might write
        assert held(kube, ns) == {"front": upgrade.held, "research": upgrade.held}
        assert generations(kube, ns) == before
        more = audit.writes(cluster_name, user=USER, namespace=ns)[writes:]
        assert [(w.verb, w.resource, w.code) for w in more] == [
            ("patch", "agentsystems/status", 200)
        ]

        research = builders.agent("research", instructions="Be brief.")
        kube.apply(builders.system("team", ns, agents=[TEAM[0], research]))
        eventually("the edit arrives", lambda: not held(kube, ns)["research"], within_s=15)
        after = generations(kube, ns)
        assert held(kube, ns) == {"front": upgrade.held, "research": {}}
        assert after["team--front-a"] == before["team--front-a"]
        assert after["team--research-a"] > before["team--research-a"]
        assert _looks_of(kube, ns, "front") == (TEMPLATE, IMAGE)
        newest = NEXT_TEMPLATE if "Template" in upgrade.held else TEMPLATE
        assert _looks_of(kube, ns, "research") == (newest, upgrade.image)

    # And back again: what was adopted is pinned as well, where the older one knows it.
    with operator(credentials, log, "--identity", "pod-1"):
        eventually(
            "nothing of front is held back", lambda: not held(kube, ns)["front"], within_s=15
        )
        time.sleep(3)
        assert generations(kube, ns)["team--front-a"] == before["team--front-a"]


def _looks_of(kube: Kube, ns: str, agent: str) -> tuple[str, str]:
    template = deployments(kube, ns)[f"team--{agent}-a"]["spec"]["template"]
    version = template["metadata"]["annotations"]["agentsystem.dev/template"]
    return version, template["spec"]["containers"][0]["image"]
