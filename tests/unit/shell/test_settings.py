"""Flags win over the environment, which wins over defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentsystem_operator import settings


def test_defaults_are_those_of_a_pod() -> None:
    env = {"POD_NAME": "op-0", "POD_NAMESPACE": "ns", "POD_UID": "uid"}
    found = settings.parse([], env)
    assert (found.identity, found.instance, found.namespace) == ("uid", "op-0", "ns")
    assert (found.namespaces, found.kubeconfig, found.metrics_port) == ((), None, 8080)


def test_flags_win_over_the_environment() -> None:
    env = {"AGENTSYSTEM_NAMESPACES": "a, b,a", "AGENTSYSTEM_RUNTIME_IMAGE": "env:1"}
    env["AGENTSYSTEM_METRICS_PORT"] = "9090"
    found = settings.parse(["--runtime-image", "flag:1", "--kubeconfig", "/k"], env)
    assert (found.namespaces, found.runtime_image) == (("a", "b"), "flag:1")
    assert (found.metrics_port, found.kubeconfig) == (9090, Path("/k"))


def test_outside_a_pod_two_processes_are_two_identities() -> None:
    assert settings.parse([], {}).identity != settings.parse([], {}).identity


@pytest.mark.parametrize("flags", [["--metrics-port", "x"], ["--log-level", "loud"], ["--nope"]])
def test_wrong_flags_end_with_2(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        settings.parse(flags, {})
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err
