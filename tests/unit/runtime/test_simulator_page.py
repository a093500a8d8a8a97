"""docs/simulator.md says what the simulator takes: every kind, field, flag and example."""

import re
from pathlib import Path
from typing import get_args

import pytest

from agent_runtime import __main__
from agent_runtime.simulator import faults
from agent_runtime.simulator.faults import Fault, Kind

PAGE = (Path(__file__).parents[3] / "docs/simulator.md").read_text()


def rows(first_cell: str) -> list[list[str]]:
    """The rows of the table whose head begins with this cell."""
    table = PAGE.split(f"| {first_cell} |", 1)[1].split("\n\n", 1)[0]
    return [re.split(r" \| ", line.strip("| ")) for line in table.splitlines()[2:]]


def codes(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_every_kind_of_fault_is_on_the_page_with_examples_that_order_it() -> None:
    shown = {codes(row[0])[0]: codes(row[-1]) for row in rows("kind")}
    assert set(shown) == set(get_args(Kind))
    for kind, examples in shown.items():
        assert {faults.parse_directive(example).kind for example in examples} == {kind}


def test_every_field_of_a_fault_is_on_the_page() -> None:
    table = PAGE.split("| field | kinds |", 1)[1].split("\n\n", 1)[0]
    shown = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert shown == {f.alias or name for name, f in Fault.model_fields.items()} - {"kind"}


def test_the_example_of_a_control_document_is_one() -> None:
    example = PAGE.split("```json\n", 1)[1].split("```", 1)[0]
    control = faults.parse_control(example.encode())
    assert len(control.rules) == 3
    assert control.model_fields_set == set(type(control).model_fields)


def test_the_example_of_a_models_name_orders_what_the_header_does() -> None:
    named = faults.directive_in("gpt-4o/simulate:status:status@503")
    assert "`gpt-4o/simulate:status:status@503`" in PAGE
    assert faults.parse_directive(named or "") == faults.parse_directive("status; status=503")


def test_every_flag_is_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        __main__.command_line().parse_args(["simulate", "--help"])
    flags = set(re.findall(r"^ +(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    assert {flag.split()[0] for row in rows("flag") for flag in codes(row[0])} == flags
