"""Each released minor of the contract, replayed against both halves as they are now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentsystem_operator.plan import agent_config
from tests.contract.runtime import replay
from tests.contract.runtime.replay import CONTRACT, EXAMPLES, name_of
from tests.contract.runtime.test_operator_and_runtime_agree import (
    DEFAULTS,
    Sample,
    sample_in,
    workloads_of,
)


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
async def test_the_runtime_answers_as_the_one_that_was_released(
    example: Path, tmp_path: Path
) -> None:
    count, differences = await replay.replay(example, tmp_path)
    assert count > 0
    assert differences == []


def test_every_example_has_its_answers_and_its_system() -> None:
    for folder in CONTRACT.glob("v*"):
        names = {path.stem for path in folder.glob("*.json")}
        assert names == {path.stem for path in (folder / "answers").iterdir()}
        assert names == {path.stem for path in (folder / "systems").iterdir()}


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_the_operator_renders_the_lowest_minor_that_has_what_is_used(path: Path) -> None:
    """A newer minor rolls nobody who does not use what is new in it (I21)."""
    example = json.loads(path.read_text())
    sample = sample_in(path.parent / "systems" / f"{path.stem}.yaml", stored=True)
    assert _without_empty(_rendered(sample, path.stem, example["entry"])) == example


def _rendered(sample: Sample, name: str, agent: str) -> dict[str, Any]:
    if name == "laptop":
        rendered = agent_config.render_config(
            sample.spec, sample.texts, key=sample.key, defaults=DEFAULTS
        )
        # A laptop's sessions are where its own defaults put them: the example leaves them out.
        del rendered["sessions"]
        return rendered
    (workload,) = [each for each in workloads_of(sample) if each.agent.name == agent]
    return agent_config.of_workload(workload)


def _without_empty(value: Any) -> Any:
    """Return the document without what a reader takes for left out."""
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ([], {}, "", None)}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {}),
        ([1, 2], [1]),
        ("<text>", 1),
        ("<number>", "1"),
        ({"a": [{"b": "x"}]}, {"a": [{"b": "y"}]}),
    ],
)
def test_a_replay_finds_what_has_changed(expected: Any, actual: Any) -> None:
    assert list(replay.differences(expected, actual))


def test_a_replay_lets_additions_pass() -> None:
    expected = {"id": "<text>", "usage": {"total_tokens": "<number>"}}
    actual = {"id": "x", "usage": {"total_tokens": 3, "cached": 1}, "new": True}
    assert list(replay.differences(expected, actual)) == []
