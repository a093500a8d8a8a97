"""The CRD and docs/api.md in the tree are those that the models give, and stay so."""

import subprocess
import sys
from pathlib import Path

import pytest

from agentsystem_operator.api import generate
from agentsystem_operator.api.reasons import ConditionType, Reason
from agentsystem_operator.api.types import Tier

ROOT = Path(__file__).resolve().parents[3]


def test_generated_files_are_up_to_date() -> None:
    assert list(generate.differences(ROOT)) == []


def test_check_accepts_what_was_just_written(tmp_path: Path) -> None:
    assert generate.main(["--root", str(tmp_path)]) == 0
    assert generate.main(["--root", str(tmp_path), "--check"]) == 0


def test_check_fails_with_a_diff_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate.write(tmp_path)
    page = tmp_path / "docs" / "api.md"
    page.write_text(page.read_text() + "by hand\n")
    assert generate.main(["--root", str(tmp_path), "--check"]) == 1
    assert "-by hand\n" in capsys.readouterr().out
    assert page.read_text().endswith("by hand\n")


def test_reference_lists_every_tier_condition_and_reason() -> None:
    page = generate.generated()["docs/api.md"]
    for word in (*Tier, *ConditionType, *Reason):
        assert f"| {word} |" in page


def test_links_of_the_reference_lead_somewhere() -> None:
    page = generate.generated()["docs/api.md"]
    heads = {line.removeprefix("### ").lower() for line in page.splitlines() if "### " in line}
    linked = {part.split(")")[0] for part in page.split("](#")[1:]}
    assert linked
    assert linked <= heads


def test_the_running_operator_needs_neither_the_generator_nor_yaml() -> None:
    program = (
        "import sys; from agentsystem_operator.api import reasons, resource, tiers;"
        "print([name for name in sys.modules if name == 'yaml' or name.endswith('.crd')])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT / "operator",
        check=True,
        capture_output=True,
        text=True,
    )
    assert answer.stdout == "[]\n"


def test_words_are_unique_and_each_is_explained() -> None:
    for words in (ConditionType, Reason):
        assert len({str(word) for word in words}) == len(words)
        assert all(word.description.endswith(".") for word in words)
