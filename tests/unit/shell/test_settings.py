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


def test_flags_that_list_names_may_be_repeated_and_replace_the_environment() -> None:
    env = {"AGENTSYSTEM_NAMESPACES": "z", "AGENTSYSTEM_ALLOWED_IMAGES": "z.example/z"}
    images = ["a.example/*,b.example/**", "a.example/*"]
    flags = [part for each in images for part in ("--allowed-images", each)]

    found = settings.parse([*flags, "--namespaces", "a,b", "--namespaces=c"], env)
    assert found.namespaces == ("a", "b", "c")
    assert found.allowed_images == ("a.example/*", "b.example/**")
    assert settings.parse([], env).allowed_images == ("z.example/z",)
    assert settings.parse([], {}).allowed_images == ()


WRONG = (
    ({"NAMESPACES": "a,../b"}, "argument --namespaces: '../b' cannot be the name of a namespace"),
    ({"NAMESPACES": "team-*"}, "'team-*' cannot be"),
    ({"NAMESPACES": "A"}, "'A' cannot be"),
    ({"NAMESPACES": "a" * 64}, "cannot be"),
    ({"ALLOWED_IMAGES": "nginx"}, "'nginx' must name a registry and a repository, such as"),
    ({"ALLOWED_IMAGES": "a.example/**x"}, "argument --allowed-images: 'a.example/**x' may hold"),
    # What a missing variable leaves behind must not allow everything.
    ({"ALLOWED_IMAGES": " "}, "no pattern; leave the flag out to allow all images"),
    ({"ALLOWED_IMAGES": ",".join(f"a.example/{n}" for n in range(101))}, "more than 100 patterns"),
)


@pytest.mark.parametrize(("given", "says"), WRONG)
def test_names_and_patterns_are_checked_at_the_start(
    given: dict[str, str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ((name, value),) = given.items()
    flag = f"--{name.lower().replace('_', '-')}={value}"
    for flags, env in (([flag], {}), ([], {f"AGENTSYSTEM_{name}": value})):
        with pytest.raises(SystemExit) as end:
            settings.parse(flags, env)
        assert end.value.code == 2
        assert says in capsys.readouterr().err


def test_outside_a_pod_two_processes_are_two_identities() -> None:
    assert settings.parse([], {}).identity != settings.parse([], {}).identity


@pytest.mark.parametrize("flags", [["--metrics-port", "x"], ["--log-level", "loud"], ["--nope"]])
def test_wrong_flags_end_with_2(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        settings.parse(flags, {})
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err
