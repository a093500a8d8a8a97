"""What people do to the operator's objects with kubectl: undone once and told, or kept.

docs/coexistence.md promises each outcome. Writes are counted in the apiserver's audit log.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests import audit, builders
from tests.integration.coexistence import play
from tests.integration.operator_process import USER, Process
from tests.kube import Kube, conditions, eventually

UNDONE_WITHIN_S = 10.0
DEPLOYMENT, SERVICE = "one--front-a", "one--front"
STRAY_IMAGE = "registry.example/stray:1"


def live(kube: Kube, kind: str, name: str, ns: str) -> dict[str, Any]:
    found = kube.get(kind, name, ns)
    assert found is not None
    return found


def manifest(kube: Kube, ns: str, **spec: Any) -> dict[str, Any]:
    """Return the live Deployment as somebody would save it, with another image."""
    whole = live(kube, "Deployment", DEPLOYMENT, ns)
    meta = whole["metadata"]
    kept = {key: meta[key] for key in ("name", "namespace", "labels", "annotations")}
    whole = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": kept, "spec": whole["spec"]}
    del whole["spec"]["replicas"]
    whole["spec"]["template"]["spec"]["containers"][0]["image"] = STRAY_IMAGE
    whole["spec"] |= spec
    return whole


def image(kube: Kube, ns: str) -> str:
    spec = live(kube, "Deployment", DEPLOYMENT, ns)["spec"]
    return str(spec["template"]["spec"]["containers"][0]["image"])


def replicas(kube: Kube, ns: str) -> int:
    return int(live(kube, "Deployment", DEPLOYMENT, ns)["spec"]["replicas"])


def apply_client_side(kube: Kube, ns: str) -> None:
    kube.kubectl("apply", "-n", ns, "-f", "-", stdin=json.dumps(manifest(kube, ns)))


def apply_server_side(kube: Kube, ns: str) -> None:
    kube.kubectl(
        *("apply", "-n", ns, "--server-side", "--force-conflicts", "--field-manager=someone"),
        *("-f", "-"),
        stdin=json.dumps(manifest(kube, ns)),
    )


def apply_of_an_older_intent(kube: Kube, ns: str) -> None:
    old = manifest(kube, ns)
    old["metadata"]["annotations"]["agentsystem.dev/intent"] = "0123456789"
    kube.kubectl("apply", "-n", ns, "-f", "-", stdin=json.dumps(old))


def set_image(kube: Kube, ns: str) -> None:
    kube.kubectl("set", "image", "-n", ns, f"deployment/{DEPLOYMENT}", f"agent={STRAY_IMAGE}")


def edit_image(kube: Kube, ns: str) -> None:
    change = "s#image: .*agent-runtime.*#image: registry.example/stray:1#"
    _edit(kube, ns, change)


def edit_replicas(kube: Kube, ns: str) -> None:
    _edit(kube, ns, "s#^  replicas: .*#  replicas: 4#")


def _edit(kube: Kube, ns: str, change: str) -> None:
    editor = f"sed -i {shlex.quote(change)}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBE_EDITOR", editor)
        kube.kubectl("edit", "-n", ns, f"deployment/{DEPLOYMENT}")


def undo(kube: Kube, ns: str) -> None:
    kube.kubectl("rollout", "undo", "-n", ns, f"deployment/{DEPLOYMENT}")


def scale(kube: Kube, ns: str) -> None:
    kube.kubectl("scale", "-n", ns, f"deployment/{DEPLOYMENT}", "--replicas=4")


def relabel(kube: Kube, ns: str) -> None:
    change = "agentsystem.dev/agent=other"
    kube.kubectl("label", "-n", ns, f"service/{SERVICE}", change, "--overwrite")


def select_others(kube: Kube, ns: str) -> None:
    change = {"spec": {"selector": {"agentsystem.dev/agent": "other"}}}
    kube.kubectl("patch", "-n", ns, f"service/{SERVICE}", "-p", json.dumps(change))


@dataclass(frozen=True)
class Stray:
    id: str
    act: Callable[[Kube, str], None]
    told: str
    """What the Event says."""
    write: str
    """The one write that undoes it."""


APPLIED = f"Deployment '{DEPLOYMENT}' had been changed by '{{}}'; restored"
SELECTED = f"Service '{SERVICE}' had been changed by '{{}}'; restored"
UNDONE = (
    Stray("apply", apply_client_side, APPLIED.format("kubectl-client-side-apply"), "deployments"),
    Stray("apply --server-side", apply_server_side, APPLIED.format("someone"), "deployments"),
    Stray(
        "apply of an old manifest",
        apply_of_an_older_intent,
        APPLIED.format("kubectl-client-side-apply"),
        "deployments",
    ),
    Stray("set image", set_image, APPLIED.format("kubectl-set"), "deployments"),
    Stray("edit", edit_image, APPLIED.format("kubectl-edit"), "deployments"),
    Stray(
        "edit of replicas",
        edit_replicas,
        f"Deployment '{DEPLOYMENT}' had been set to 4 replicas by 'kubectl-edit'; set to 1",
        "deployments/scale",
    ),
    Stray(
        "scale",
        scale,
        f"Deployment '{DEPLOYMENT}' had been set to 4 replicas by 'kubectl'; set to 1",
        "deployments/scale",
    ),
    Stray("label", relabel, SELECTED.format("kubectl-label"), "services"),
    Stray("patch", select_others, SELECTED.format("kubectl-patch"), "services"),
)


def settle(kube: Kube, ns: str, **spec: Any) -> None:
    """Make the system, with pods, and wait until the operator has nothing to do."""
    kube.apply(builders.system("one", ns, **spec))
    play.until_ready(kube, "one", ns=ns)
    time.sleep(1)


def writes(cluster: str, ns: str) -> list[str]:
    """Return what the operator wrote to objects of its own."""
    return [
        write.resource
        for write in audit.writes(cluster, user=USER, namespace=ns)
        if write.resource not in ("events", "agentsystems/status")
    ]


def notes(kube: Kube, ns: str) -> list[str]:
    """Return what the operator told of the system, its own rollouts aside."""
    return [
        event["note"]
        for event in kube.list("Event", ns)
        if event["regarding"]["kind"] == "AgentSystem" and event["reason"] != "RollingOut"
    ]


@pytest.mark.parametrize("stray", UNDONE, ids=lambda stray: stray.id)
def test_a_stray_change_is_undone_once_and_told(
    stray: Stray, running: Process, kube: Kube, cluster_name: str, ns: str
) -> None:
    settle(kube, ns)
    before = [spec_of(kube, ns, kind) for kind in ("Deployment", "Service")]
    written = len(writes(cluster_name, ns))
    stray.act(kube, ns)
    eventually("it is told", lambda: stray.told in notes(kube, ns), within_s=UNDONE_WITHIN_S)
    assert [spec_of(kube, ns, kind) for kind in ("Deployment", "Service")] == before
    time.sleep(3)
    assert writes(cluster_name, ns)[written:] == [stray.write]
    assert notes(kube, ns).count(stray.told) == 1


def spec_of(kube: Kube, ns: str, kind: str) -> Any:
    """Return the part of an object that we state, labels included."""
    found = live(kube, kind, DEPLOYMENT if kind == "Deployment" else SERVICE, ns)
    return found["spec"], found["metadata"]["labels"]


def test_a_rollout_undo_is_undone(running: Process, kube: Kube, cluster_name: str, ns: str) -> None:
    settle(kube, ns)
    settle(kube, ns, agents=[builders.agent(instructions="Be brief.")])
    wanted, written = spec_of(kube, ns, "Deployment"), len(writes(cluster_name, ns))
    undo(kube, ns)
    told = f"Deployment '{DEPLOYMENT}' had been changed by"
    eventually(
        "it is told",
        lambda: [note for note in notes(kube, ns) if note.startswith(told)],
        within_s=UNDONE_WITHIN_S,
    )
    assert spec_of(kube, ns, "Deployment") == wanted
    (note,) = [note for note in notes(kube, ns) if note.startswith(told)]
    assert "somebody else" not in note
    play.until_ready(kube, "one", ns=ns)
    time.sleep(2)
    assert writes(cluster_name, ns)[written:] == ["deployments"]


def test_a_rollout_restart_is_kept_and_status_follows_it(
    running: Process, kube: Kube, cluster_name: str, ns: str
) -> None:
    settle(kube, ns)
    written = len(writes(cluster_name, ns))
    kube.kubectl("rollout", "restart", "-n", ns, f"deployment/{DEPLOYMENT}")
    eventually(
        "the rollout is told",
        lambda: told(kube, ns, "Progressing") == ("True", "RollingOut"),
        within_s=10,
    )
    # The old pod serves until the new one does.
    assert told(kube, ns, "Ready") == ("True", "AllAgentsReady")
    play.until(kube, "one", lambda: told(kube, ns, "Progressing")[1] == "RolledOut", ns=ns)
    assert told(kube, ns, "Ready") == ("True", "AllAgentsReady")
    assert writes(cluster_name, ns)[written:] == []
    assert notes(kube, ns) == []

    restarted = restarted_at(kube, ns)
    assert restarted
    settle(kube, ns, agents=[builders.agent(instructions="Be brief.")])
    assert restarted_at(kube, ns) == restarted


def told(kube: Kube, ns: str, kind: str) -> tuple[str, str]:
    found = conditions(kube.get("AgentSystem", "one", ns))[kind]
    return found["status"], found["reason"]


def restarted_at(kube: Kube, ns: str) -> str | None:
    template = live(kube, "Deployment", DEPLOYMENT, ns)["spec"]["template"]
    found: str | None = template["metadata"]["annotations"].get("kubectl.kubernetes.io/restartedAt")
    return found


def test_a_paused_deployment_stays_so_and_its_rollout_is_told_as_unfinished(
    running: Process, kube: Kube, cluster_name: str, ns: str
) -> None:
    settle(kube, ns)
    kube.kubectl("rollout", "pause", "-n", ns, f"deployment/{DEPLOYMENT}")
    kube.apply(builders.system("one", ns, agents=[builders.agent(instructions="Be brief.")]))
    time.sleep(5)
    assert live(kube, "Deployment", DEPLOYMENT, ns)["spec"]["paused"] is True
    assert told(kube, ns, "Progressing") == ("True", "RollingOut")
    assert told(kube, ns, "Ready")[0] == "False"
    kube.kubectl("rollout", "resume", "-n", ns, f"deployment/{DEPLOYMENT}")
    play.until_ready(kube, "one", ns=ns)


def test_labels_and_annotations_of_others_are_kept(
    running: Process, kube: Kube, cluster_name: str, ns: str
) -> None:
    settle(kube, ns)
    written = len(writes(cluster_name, ns))
    for kind, name in (("deployment", DEPLOYMENT), ("service", SERVICE)):
        kube.kubectl("label", "-n", ns, f"{kind}/{name}", "team=billing")
        kube.kubectl("annotate", "-n", ns, f"{kind}/{name}", "example.com/note=mine")
    time.sleep(3)
    assert writes(cluster_name, ns)[written:] == []
    settle(kube, ns, agents=[builders.agent(instructions="Be brief.")])
    for kind, name in (("Deployment", DEPLOYMENT), ("Service", SERVICE)):
        meta = live(kube, kind, name, ns)["metadata"]
        assert (meta["labels"]["team"], meta["annotations"]["example.com/note"]) == (
            "billing",
            "mine",
        )
    assert notes(kube, ns) == []


def test_a_deleted_child_is_made_again_with_what_it_had(
    running: Process, kube: Kube, cluster_name: str, ns: str
) -> None:
    settle(kube, ns)
    before = live(kube, "Service", SERVICE, ns)
    kube.kubectl("delete", "-n", ns, f"service/{SERVICE}")
    eventually("it is back", lambda: kube.get("Service", SERVICE, ns), within_s=UNDONE_WITHIN_S)
    after = live(kube, "Service", SERVICE, ns)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["spec"]["selector"] == before["spec"]["selector"]


def test_the_page_names_every_outcome_that_is_tested() -> None:
    page = (audit.ROOT / "docs/coexistence.md").read_text()
    commands = ("apply", "edit", "patch", "set image", "scale", "label", "annotate", "delete")
    rollouts = ("rollout restart", "rollout undo", "rollout pause")
    assert [c for c in (*commands, *rollouts) if f"`kubectl {c}" not in page] == []
