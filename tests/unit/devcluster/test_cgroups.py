"""Control groups are understood as version 1, mixed, or version 2, and removed whole."""

from pathlib import Path

import pytest

from devcluster import cgroups

VERSION_1 = """proc /proc proc rw,relatime 0 0
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0
cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,nosuid,nodev,noexec,relatime,memory 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,xattr,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
"""
JOINED = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n"
VERSION_2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime 0 0\n"


def test_each_hierarchy_is_found_by_its_controllers() -> None:
    root = Path("/sys/fs/cgroup")
    assert cgroups.hierarchies(VERSION_1) == {
        "cpu": root / "cpu",
        "cpuset": root / "cpuset",
        "memory": root / "memory",
        "name=systemd": root / "systemd",
        "": root / "unified",
    }


def test_joined_controllers_are_one_hierarchy() -> None:
    assert list(cgroups.hierarchies(JOINED)) == ["cpu,cpuacct"]


@pytest.mark.parametrize(
    ("mounts", "want"),
    [(VERSION_1, 1), (JOINED, 1), (VERSION_2, 2), ("proc /proc proc rw 0 0\n", 0)],
)
def test_the_version_is_that_of_the_controllers(mounts: str, want: int) -> None:
    assert cgroups.version(cgroups.hierarchies(mounts)) == want


def test_missing_controllers_are_named() -> None:
    assert cgroups.missing(cgroups.hierarchies(VERSION_1)) == ["pids"]


def test_version_2_lists_its_controllers_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory\n")
    assert cgroups.missing({"": tmp_path}) == ["pids"]


def test_version_2_passes_its_controllers_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "here", lambda: {"": tmp_path})
    cgroups.create("agentsystem-x/node-1")
    for parent in (tmp_path, tmp_path / "agentsystem-x"):
        assert (parent / "cgroup.subtree_control").read_text() == "+cpu +cpuset +memory +pids"
    assert not (tmp_path / "agentsystem-x" / "node-1" / "cgroup.subtree_control").exists()


def test_a_group_is_removed_with_all_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "here", lambda: {"cpu": tmp_path})
    (tmp_path / "agentsystem-x" / "node-1" / "kubepods" / "pod").mkdir(parents=True)
    (tmp_path / "agentsystem-xy").mkdir()
    cgroups.remove("agentsystem-x")
    assert cgroups.remains("agentsystem-x") == []
    assert cgroups.remains("agentsystem-xy") == [tmp_path / "agentsystem-xy"]
