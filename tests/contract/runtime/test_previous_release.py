"""The release before this one and what is here now understand each other, both ways.

An upgraded operator meets pods of the image before (they are pinned to it), and a rolled-back one
meets newer pods. The first tests prove the way on a repository of their own, with a release that
differs; the last ones go it with the real one, as soon as there is a release.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentsystem_operator.plan import agent_config
from tests.contract.runtime import previous, replay, serving
from tests.contract.runtime.serving import REPOSITORY
from tests.contract.runtime.test_operator_and_runtime_agree import SAMPLES, sample_in, workloads_of

HALVES = ("agent_runtime", "agentsystem_cli", "operator", "config/samples", "config/contract")
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


def git(repository: Path, *arguments: str) -> None:
    who = ("-c", "user.name=tests", "-c", "user.email=tests@example.com")
    subprocess.run(["git", *who, *arguments], cwd=repository, check=True, capture_output=True)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two releases, and one more commit."""
    folder = tmp_path_factory.mktemp("clone")
    for half in HALVES:
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / half, folder / half, ignore=skip)
    git(folder, "init", "-q")
    for tag in ("v0.9.0", "v0.10.0", "v0.11.0-rc.1"):
        (folder / "agent_runtime" / "release.py").write_text(f"TAG = {tag!r}\n")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", tag)
        git(folder, "tag", tag)
    (folder / "agent_runtime" / "release.py").write_text("TAG = 'unreleased'\n")
    git(folder, "commit", "-qam", "next")
    return folder


@pytest.fixture(scope="module")
def tree(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of that repository's newest release."""
    return previous.extract(clone, "v0.10.0", tmp_path_factory.mktemp("trees") / "v0.10.0")


def test_the_newest_release_is_found_by_its_numbers(clone: Path) -> None:
    assert previous.newest_release(clone) == "v0.10.0"


def test_a_release_that_is_checked_out_is_not_its_own_predecessor(
    clone: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    git(tmp_path, "clone", "-q", str(clone), str(again))
    git(again, "checkout", "-q", "v0.10.0")
    assert previous.newest_release(again) == "v0.9.0"


def test_a_clone_without_tags_has_no_release_before(clone: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    git(tmp_path, "clone", "-q", "--no-tags", str(clone), str(bare))
    assert previous.newest_release(bare) is None
    assert previous.newest_release(tmp_path) is None


def test_the_code_that_runs_is_that_of_the_tag(tree: Path) -> None:
    code = "import agent_runtime.release as r; print(r.TAG, r.__file__)"
    tag, _, file = previous.python(tree, "-c", code).strip().partition(" ")
    assert tag == "v0.10.0"
    assert Path(file).is_relative_to(tree)


def test_the_extracted_runtime_serves_what_a_newer_operator_renders(
    tree: Path, tmp_path: Path
) -> None:
    """With a key of a later minor, too, which pods of an older image have to let pass."""

    def newer(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "contract": "v1.99", "novelty": {"of": "later"}}

    assert asked(tree, tmp_path, changed=newer) == ["front"]


def test_a_runtime_that_broke_the_contract_is_found_out(tree: Path, tmp_path: Path) -> None:
    def unreadable(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "contract": "v2.0"}

    with pytest.raises(AssertionError, match="before serving"):
        asked(tree, tmp_path, changed=unreadable)


def test_the_extracted_operator_renders_what_this_runtime_serves(
    tree: Path, tmp_path: Path
) -> None:
    assert served(previous.render(tree, samples()[0]), tmp_path)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the release before this one."""
    tag = previous.newest_release(REPOSITORY)
    if tag is None:
        pytest.skip("this clone has no tag of a release before this commit (git fetch --tags)")
    return previous.extract(REPOSITORY, tag, tmp_path_factory.mktemp("released") / tag)


def test_the_previous_runtime_serves_what_this_operator_renders(
    released: Path, tmp_path: Path
) -> None:
    assert asked(released, tmp_path) == ["front"]


async def test_the_previous_runtime_answers_as_its_minor_says(
    released: Path, tmp_path: Path
) -> None:
    for example in sorted((released / "config/contract").glob("v*/*.json")):
        folder = tmp_path / example.parent.name / example.stem
        folder.mkdir(parents=True)
        _, differences = await replay.replay(example, folder, tree=released)
        assert differences == [], replay.name_of(example)


def test_this_runtime_serves_what_the_previous_operator_renders(
    released: Path, tmp_path: Path
) -> None:
    for number, sample in enumerate(samples()):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert served(previous.render(released, sample), folder), sample.name


def samples() -> list[Path]:
    """Return the samples whose agents need no model endpoint."""
    return [path for path in SAMPLES if path.name == "promptx.yaml"]


Changed = Callable[[dict[str, Any]], dict[str, Any]]


def asked(tree: Path, folder: Path, *, changed: Changed = lambda document: document) -> list[str]:
    """Return the agents that a runtime answered for, given what this operator renders for pods."""
    found = []
    path = REPOSITORY / "config/contract/v1.0/systems/entry.yaml"
    for workload in workloads_of(sample_in(path, stored=True)):
        if workload.agent.name != "front":
            continue
        document = json.loads(agent_config.as_text(agent_config.of_workload(workload)))
        document["sessions"]["path"] = str(folder / "sessions.db")
        document["providers"][0]["openAI"]["apiKey"]["file"] = str(folder / "no-key")
        found += ask(changed(document), folder, tree=tree, **replay.IN_CLUSTER)
    return found


def served(rendered: str, folder: Path) -> list[str]:
    """Return which agents of a laptop's config this runtime answered for."""
    document = json.loads(rendered)
    if "path" in document.get("sessions", {}):
        document["sessions"]["path"] = str(folder / "sessions.db")
    return ask(document, folder)


def ask(document: dict[str, Any], folder: Path, **where: Any) -> list[str]:
    """Return the agents of a config that answered."""
    names = [agent["name"] for agent in document["agents"]]
    with serving.process(document, folder, HOME=str(folder), **where) as running:
        url = f"{running.url}/v1/chat/completions"
        answers = {
            name: httpx.post(url, json={**HELLO, "model": name}, timeout=replay.PATIENCE_S)
            for name in names
        }
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(
        names, 200
    )
    return names
