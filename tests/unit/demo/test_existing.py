"""The demo on a cluster of the user's: who is asked before what, and what is installed."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
import yaml

from demo import existing, installation, place

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "context", ["kind-kind", "k3d-mine", "minikube", "devcluster", "devcluster-demo"]
)
def test_a_throw_away_cluster_needs_no_consent(context: str) -> None:
    existing.require_consent(context, i_know=False, again="make demo")


@pytest.mark.parametrize("context", ["prod", "gke_kind-of-prod", "minikube2", "Kind-a", "xk3d-a"])
def test_any_other_context_is_refused_by_name_with_the_way_on(context: str) -> None:
    with pytest.raises(existing.Refused) as refused:
        existing.require_consent(context, i_know=False, again="make demo")

    assert f"context '{context}'" in str(refused.value)
    assert f"make demo CONTEXT={context} I_KNOW=yes" in str(refused.value)
    existing.require_consent(context, i_know=True, again="make demo")


@pytest.mark.parametrize(("load", "repository"), [("", ""), ("kind load", "registry/team")])
def test_exactly_one_way_for_the_images_is_needed(load: str, repository: str) -> None:
    where = existing.Existing("kind-x", image_load=load, repository=repository, tag="1")

    with pytest.raises(existing.Refused, match="IMAGE_LOAD='kind load image-archive'"):
        existing.require_images(where, "make demo")


def command(*arguments: str | pathlib.Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one of the project's programs with those variables, as make would."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("IMAGE_LOAD", "REPO", "I_KNOW")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "line",
    [("-m", "demo", "up"), ("-m", "demo", "down"), ("tests/run.py", "e2e")],
    ids=["demo", "demo-down", "e2e"],
)
def test_a_refusal_comes_before_anything_is_run(
    tmp_path: pathlib.Path, line: tuple[str, ...]
) -> None:
    """Neither kubectl nor the command for images is called, and no kubeconfig is looked for."""
    called = tmp_path / "called"
    program = tmp_path / "kubectl"
    program.write_text(f"#!/bin/sh\ntouch {called}\n")
    program.chmod(0o755)

    done = command(
        *line,
        CONTEXT="prod",
        IMAGE_LOAD=str(program),
        PATH=f"{tmp_path}:{os.environ['PATH']}",
        KUBECONFIG=str(tmp_path / "absent"),
    )

    assert done.returncode == 2, done.stdout + done.stderr
    assert "context 'prod' does not look like a throw-away cluster" in done.stderr
    assert not called.exists()


def test_a_context_goes_with_e2e_alone() -> None:
    done = command("tests/run.py", CONTEXT="kind-x", IMAGE_LOAD="true")

    assert done.returncode == 2
    assert "CONTEXT=... goes with `make e2e` alone" in done.stderr


def test_what_needs_a_dev_cluster_is_skipped_on_a_context_and_says_so() -> None:
    """Both who drives dev clusters and who asks for the audit log of one."""
    counted = "create_to_ready_costs_fourteen_writes_and_rest_costs_none"
    done = command(
        *("-m", "pytest", "-q", "tests/e2e/test_node_stopped.py"),
        f"tests/e2e/test_apply_to_answer.py::test_{counted}",
        AGENTSYSTEM_TEST_CONTEXT="kind-nowhere",
    )

    assert done.returncode == 0, done.stdout
    assert "2 skipped" in done.stdout
    assert "needs a dev cluster" in done.stdout


def test_loaded_images_keep_their_names_and_their_key_rolls_the_operator() -> None:
    names = place.Names(operator="localhost/o:dev", runtime="localhost/r:dev", key="abc")

    whole = installation.kustomization("../base", names, {})

    assert set(whole) == {"resources", "patches"}
    template = patched(whole)
    assert template == {"metadata": {"annotations": {"agentsystem.dev/image-key": "abc"}}}


def test_pushed_images_are_named_for_the_operator_and_for_its_agents() -> None:
    names = existing.pushed("registry.example.com:5000/team", "0.1.0")

    whole = installation.kustomization("../base", names, {existing.MADE_BY: "demo"})

    assert whole["images"] == [
        {
            "name": "localhost/agentsystem-operator",
            "newName": "registry.example.com:5000/team/agentsystem-operator",
            "newTag": "0.1.0",
        }
    ]
    (container,) = patched(whole)["spec"]["containers"]
    assert container["env"] == [
        {
            "name": "AGENTSYSTEM_RUNTIME_IMAGE",
            "value": "registry.example.com:5000/team/agent-runtime:0.1.0",
        }
    ]
    assert whole["labels"] == [{"pairs": {existing.MADE_BY: "demo"}}]


def patched(whole: installation.Json) -> installation.Json:
    """The pod template of the one patch."""
    (patch,) = whole["patches"]
    template: installation.Json = yaml.safe_load(patch["patch"])["spec"]["template"]
    return template


def test_every_kind_that_outlives_its_namespace_is_removed_by_name() -> None:
    """What `config/default` installs is either in a namespace or in the list for `demo-down`."""
    inside = {"Deployment", "NetworkPolicy", "PodDisruptionBudget", "Role", "RoleBinding"}
    inside |= {"Service", "ServiceAccount", "Namespace"}
    files = [
        file
        for folder in ("crds", "config/default", "config/rbac", "config/manager")
        for file in (ROOT / folder).glob("*.yaml")
        if file.name != "kustomization.yaml"
    ]
    kinds = {each["kind"] for file in files for each in yaml.safe_load_all(file.read_text())}

    outside = {kind.lower() for kind in kinds - inside}
    removed = {name.partition(".")[0] for name in existing.CLUSTER_WIDE}
    assert outside == {
        name.removesuffix("es" if name.endswith("sses") else "s") for name in removed
    }


def test_the_demos_own_namespace_carries_the_mark() -> None:
    marked = yaml.safe_load((ROOT / "demo/namespace.yaml").read_text())

    assert marked["metadata"]["name"] == existing.NAMESPACE
    assert marked["metadata"]["labels"][existing.MADE_BY] == existing.Existing("x").made_by
