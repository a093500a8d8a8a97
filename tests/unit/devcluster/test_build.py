"""A build is made anew exactly when something that goes into it changed."""

from pathlib import Path

import pytest

from devcluster import build
from devcluster.errors import DevClusterError

MODULE = build.Module("m", ".", (("p", "."),))


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "go.mod").write_text("module m")
    (tmp_path / "go.sum").write_text("sums")
    (tmp_path / "main.go").write_text("package main")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "x.go").write_text("package inner")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "go.mod").write_text("module other")
    (tmp_path / "other" / "main.go").write_text("package main")
    return tmp_path


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go", "inner/x.go"])
def test_a_changed_input_changes_the_key(sources: Path, name: str) -> None:
    before = build.key(MODULE, sources)
    (sources / name).write_text("changed")
    assert build.key(MODULE, sources) != before


@pytest.mark.parametrize("name", ["readme.md", "build.py", "other/main.go", "inner/x_test.go"])
def test_what_is_no_input_leaves_the_key_alone(sources: Path, name: str) -> None:
    before = build.key(MODULE, sources)
    (sources / name).write_text("changed")
    assert build.key(MODULE, sources) == before


def test_a_changed_flag_changes_the_key(sources: Path) -> None:
    flagged = build.Module("m", ".", (("p", "."),), flags=("-tags", "x"))
    assert build.key(flagged, sources) != build.key(MODULE, sources)


def test_an_empty_cache_misses_every_module(tmp_path: Path) -> None:
    assert [module.name for module in build.missing(tmp_path)] == [
        "tools",
        "etcd",
        "containerd",
        "kube",
    ]


def test_a_built_module_is_not_missing(tmp_path: Path) -> None:
    tools = build.MODULES[0]
    build.directory(tools, tmp_path).mkdir(parents=True)
    assert tools not in build.missing(tmp_path)


def test_a_failed_build_shows_what_the_compiler_said_and_leaves_nothing(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    go = bin_dir / "go"
    go.write_text("#!/bin/sh\necho 'main.go:1: no such thing' >&2\nexit 1\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_dir}:/usr/bin:/bin")
    cache = tmp_path / "cache"
    with pytest.raises(DevClusterError, match="no such thing"):
        build.build(lambda _: None, cache)
    assert [path.name for path in (cache / "devcluster").iterdir()] == ["build.lock"]
