"""Every config of every released minor version is accepted, and its agents answer."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from agent_runtime.app import config_file
from agent_runtime.app.config_file import Surroundings
from agent_runtime.providers import script
from tests.contract.runtime import replay, serving

EXAMPLES = sorted((serving.REPOSITORY / "config/contract").glob("v*/*.json"))
LAPTOP = Surroundings(in_cluster=False, grace_seconds=25.0, state_home=Path("/state"))
CLUSTER = Surroundings(in_cluster=True, grace_seconds=25.0, state_home=Path("/state"))


def test_there_are_examples_of_each_kind() -> None:
    names = {example.name for example in EXAMPLES if example.parent.name == "v1.0"}
    assert names == {"agent.json", "entry.json", "laptop.json"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
@pytest.mark.parametrize("surroundings", [LAPTOP, CLUSTER], ids=["laptop", "cluster"])
def test_an_example_is_accepted(example: Path, surroundings: Surroundings) -> None:
    config = config_file.load(example, surroundings)
    assert config.contract == example.parent.name
    if example.name != "laptop.json":
        assert len(config.agents) == 1


def _text(example: Path) -> str:
    return example.read_text()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
async def test_an_example_can_be_served(example: Path, tmp_path: Path) -> None:
    document = json.loads(_text(example))
    if document.get("sessions", {}).get("path"):
        document["sessions"]["path"] = str(tmp_path / "sessions.db")
    if "guard" in document:
        document = replay.prepared(example, tmp_path)
    async with serving.serving(document, tmp_path) as served, httpx.AsyncClient() as http:
        key = {"authorization": "Bearer as-example"}
        models = (await http.get(f"{served.url}/v1/models", headers=key)).json()["data"]
    own = [agent["name"] for agent in document["agents"]]
    others = [sibling["name"] for sibling in document.get("siblings", [])]
    assert [model["id"] for model in models] == own + others


def _scripts() -> Iterator[tuple[str, str]]:
    """Return every scripted answers text of the samples: ConfigMap keys that end in .yaml."""
    for sample in sorted((serving.REPOSITORY / "config/samples").glob("*.yaml")):
        for document in yaml.safe_load_all(sample.read_text()):
            if document and document["kind"] == "ConfigMap":
                for key, text in document["data"].items():
                    yield f"{sample.name}/{key}", text


@pytest.mark.parametrize(("name", "text"), list(_scripts()))
def test_a_sample_s_script_is_accepted(name: str, text: str) -> None:
    assert script.parse(text, path=name)


def test_there_are_samples_with_scripts() -> None:
    assert any(name.startswith("promptx.yaml/") for name, _ in _scripts())
