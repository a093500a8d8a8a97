"""A machine that cannot hold a cluster says what it lacks and what to do."""

import os
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from devcluster import build, cgroups, host
from devcluster.errors import DevClusterError

Usage = namedtuple("Usage", "total used free")  # as shutil's own


@pytest.fixture(autouse=True)
def good_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that passes every check; each test takes one thing away."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 100 * host.GIB))
    monkeypatch.setattr(build, "missing", lambda: build.MODULES)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"/usr/bin/{name}")
    monkeypatch.setattr(host, "_go", lambda: None)


def test_a_good_machine_passes() -> None:
    host.check(nodes=0)


def test_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(DevClusterError, match="needs Linux, not Darwin"):
        host.check(nodes=0)


def test_an_ordinary_user_is_told_to_use_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DevClusterError, match=r"not root.*sudo"):
        host.check(nodes=0)


def test_a_full_disk_is_named_with_the_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 2 * host.GIB))
    with pytest.raises(DevClusterError, match=r"2\.0 GiB are free .*, 12 GiB are needed"):
        host.check(nodes=0)


def test_little_memory_is_named_with_the_need(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_text

    def little(path: Path, *args: str, **kwargs: str) -> str:
        if path == Path("/proc/meminfo"):
            return "MemTotal: 9 kB\nMemAvailable:     1024000 kB\n"
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", little)
    with pytest.raises(DevClusterError, match="1000 MiB of memory are free, 1700 MiB are needed"):
        host.check(nodes=2)


def test_a_missing_controller_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "here", lambda: {"cpu": Path("/x")})
    with pytest.raises(DevClusterError, match="cpuset, memory, pids"):
        host.check(nodes=1)


def test_no_control_groups_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "here", dict)
    with pytest.raises(DevClusterError, match="no control groups"):
        host.check(nodes=1)


def test_missing_programs_without_apt_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(DevClusterError, match=r"no apt-get .* runc"):
        host.install_packages(1, lambda _: None)


def test_packages_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    assert host.missing_packages(host.PROGRAMS) == ["iproute2", "util-linux"]


@pytest.mark.parametrize(
    ("said", "want"),
    [("go1.26.8", (1, 26)), ("go1.26rc1", (0, 0)), ("", (0, 0)), ("go1.9", (1, 9))],
)
def test_go_versions_are_compared_as_numbers(said: str, want: tuple[int, int]) -> None:
    assert host.go_version(said) == want


def test_a_missing_go_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DevClusterError, match=r"Go is not installed.*go\.dev"):
        host._go()


def test_the_package_needs_nothing_but_the_standard_library() -> None:
    """It runs before any virtual environment exists."""
    allowed = sys.stdlib_module_names | {"devcluster"}
    for path in Path(host.__file__).parent.glob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith(("import ", "from ")):
                assert line.split()[1].split(".")[0] in allowed, f"{path.name}: {line}"
