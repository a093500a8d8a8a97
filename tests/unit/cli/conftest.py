"""The command line as a person starts it, against an apiserver on loopback."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import click.testing
import pytest

from agentsystem_cli.__main__ import main
from tests.unit.cli import apiserver

Run = Callable[..., click.testing.Result]


@pytest.fixture
def fake(tmp_path: pathlib.Path) -> Iterator[apiserver.Apiserver]:
    """A running fake apiserver."""
    with apiserver.serving(tmp_path) as running:
        yield running


@pytest.fixture
def run(fake: apiserver.Apiserver) -> Run:
    """Run a command with the fake's kubeconfig; `said` is what the user types."""

    def run_command(*arguments: str, said: str = "") -> click.testing.Result:
        return click.testing.CliRunner().invoke(
            main, [*arguments, "--kubeconfig", str(fake.kubeconfig)], input=said
        )

    return run_command
