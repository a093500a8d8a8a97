"""What `agentsystem render` prints, and that the runtime takes it."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import click.testing
import pytest
import yaml

from agent_runtime.app import config_file
from agentsystem_cli.__main__ import main

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROMPTX = ROOT / "config/samples/promptx.yaml"


def render(text: str, *arguments: str) -> click.testing.Result:
    """Render what is on standard input."""
    return click.testing.CliRunner().invoke(main, ["render", "-f", "-", *arguments], input=text)


def system(name: str = "talk", **spec: Any) -> str:
    """A manifest of a small system."""
    whole = {
        "tier": "Development",
        "providers": [{"name": "canned", "type": "Scripted", "scripted": {}}],
        "routes": [{"name": "chat", "chain": [{"provider": "canned"}]}],
        "agents": [{"name": "front", "route": "chat"}],
        **spec,
    }
    kind = {"apiVersion": "agentsystem.dev/v1alpha1", "kind": "AgentSystem"}
    return yaml.safe_dump({**kind, "metadata": {"name": name}, "spec": whole})


@pytest.mark.parametrize("file", sorted(PROMPTX.parent.glob("*.yaml")), ids=lambda f: f.stem)
def test_each_sample_renders_to_what_the_runtime_takes(
    file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    result = click.testing.CliRunner().invoke(main, ["render", "-f", str(file)])

    assert result.exit_code == 0, result.output
    laptop = config_file.Surroundings(in_cluster=False, grace_seconds=1, state_home=tmp_path)
    declared = next(
        each for each in yaml.safe_load_all(file.read_text()) if each["kind"] == "AgentSystem"
    )
    config = config_file.parse(json.loads(result.stdout), laptop)
    assert config.system == declared["metadata"]["name"]
    assert [agent.name for agent in config.agents] == [
        agent["name"] for agent in declared["spec"]["agents"]
    ]


def test_the_namespace_is_the_manifests_or_the_flags() -> None:
    assert json.loads(render(system()).stdout)["namespace"] == "default"
    assert json.loads(render(system(), "-n", "lab").stdout)["namespace"] == "lab"


def test_a_name_chooses_between_systems() -> None:
    both = system("one") + "---\n" + system("two")

    assert json.loads(render(both, "two").stdout)["system"] == "two"
    assert "The files hold: one, two" in render(both).output
    assert "The files hold: one, two" in render(both, "three").output
    assert "The files hold: none" in render("").output


def test_wrong_fields_and_missing_references_are_named() -> None:
    wrong = render(system(agents=[{"name": "front", "route": "nowhere"}]))
    missing = render(
        system(
            agents=[
                {
                    "name": "front",
                    "route": "chat",
                    "instructionsFrom": {"configMapKeyRef": {"name": "texts", "key": "front"}},
                }
            ]
        )
    )

    assert (wrong.exit_code, missing.exit_code) == (1, 1)
    assert "unknown route: nowhere" in wrong.output
    assert "spec.agents[0].instructionsFrom.configMapKeyRef: ConfigMap 'texts'" in missing.output


@pytest.mark.parametrize("text", ["a: [", "- just a list", "metadata: none"])
def test_what_is_no_manifest_is_refused_without_a_traceback(text: str) -> None:
    result = render(text)

    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
