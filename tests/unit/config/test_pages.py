"""The pages for people name what the code has: flags, metrics, conditions, runbooks, targets."""

from __future__ import annotations

import pathlib
import re

import pytest
from prometheus_client import CollectorRegistry

from agent_runtime.observability import metrics as runtime_metrics
from agent_runtime.observability.budget_metrics import BudgetMetrics
from agentsystem_operator import settings
from agentsystem_operator.adapters import metrics as operator_metrics
from agentsystem_operator.api.reasons import ConditionType

ROOT = pathlib.Path(__file__).resolve().parents[3]
OPERATIONS = (ROOT / "docs/operations.md").read_text()
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/channel.md",
    "docs/operations.md",
    "docs/privacy.md",
    "docs/runtime.md",
    "docs/security.md",
    "docs/simulator.md",
    "docs/supply-chain.md",
    "docs/your-cluster.md",
)


def first_column(page: str, heading: str) -> set[str]:
    """The first cells of the table below a heading, without code marks."""
    section = page.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return {cell.strip("` ") for cell in cells[1:]} - {"---", "process_*"}


def test_every_flag_of_the_operator_is_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings.parse(["--help"], {})
    shown = set(re.findall(r"^ +(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))

    assert first_column(OPERATIONS, "Flags") == shown


def metric_names(registry: CollectorRegistry) -> set[str]:
    """The names of all metrics of our own, as Prometheus sees them."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in registry.collect()
        if not family.name.startswith("process_")
    }


def test_every_metric_is_on_its_page() -> None:
    runtime = (ROOT / "docs/runtime.md").read_text()

    shown = first_column(OPERATIONS, "Metrics of the operator")
    assert shown == metric_names(operator_metrics.Metrics().registry)
    registry = runtime_metrics.Metrics().registry
    BudgetMetrics(registry)  # only where there is a budget
    assert first_column(runtime, "Metrics") == metric_names(registry)


def test_every_condition_is_on_the_page() -> None:
    assert first_column(OPERATIONS, "Conditions") == {kind.value for kind in ConditionType}


def test_every_runbook_is_linked() -> None:
    linked = set(re.findall(r"\(runbooks/([\w-]+\.md)\)", OPERATIONS))

    assert linked == {file.name for file in (ROOT / "docs/runbooks").iterdir()}


@pytest.mark.parametrize("page", PAGES)
def test_every_target_and_file_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    named = {
        word for call in re.findall(r"`make ([a-z0-9 -]+)[`\s]", text) for word in call.split()
    }
    links = re.findall(r"\]\(([\w./-]+)\)", text)
    files = re.findall(r"`((?:config|docs|crds|tests|demo|images|operator)/[\w./-]+)`", text)

    assert named <= targets
    missing = [name for name in links if not (ROOT / page).parent.joinpath(name).exists()]
    missing += [name for name in files if not (ROOT / name).exists()]
    assert missing == []
