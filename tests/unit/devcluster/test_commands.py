"""The command line, its locks and its socket."""

import argparse
import os
import socket
import threading
from pathlib import Path

import pytest

from devcluster import cli, control, errors, launch, layout, lifecycle, locks, settings


def unheard(_: str) -> None:
    """Progress that this test does not look at."""


@pytest.mark.parametrize(
    ("given", "own", "passed_on"),
    [
        (["up", "--nodes", "1"], ["up", "--nodes", "1"], []),
        (["kubectl", "get", "ns", "-A"], ["kubectl"], ["get", "ns", "-A"]),
        (
            ["kubectl", "--name", "x", "-n", "y", "exec", "p", "--", "ls"],
            ["kubectl", "--name", "x"],
            ["-n", "y", "exec", "p", "--", "ls"],
        ),
        (["kubectl", "--name=x", "--", "get"], ["kubectl", "--name=x"], ["get"]),
        (["exec", "--", "curl", "-s"], ["exec"], ["curl", "-s"]),
        (
            ["node", "exec", "node-1", "--name", "x", "--", "ip", "a"],
            ["node", "exec", "node-1", "--name", "x"],
            ["ip", "a"],
        ),
    ],
)
def test_the_passed_on_command_is_told_from_ours(
    given: list[str], own: list[str], passed_on: list[str]
) -> None:
    assert cli.split(given) == (own, passed_on)


def test_every_command_takes_a_name_and_defaults_to_demo() -> None:
    for command in ("up", "down", "stop", "status", "kubeconfig", "audit-log", "kubectl", "exec"):
        chosen = cli.parser().parse_args([command], argparse.Namespace(command=[]))
        assert chosen.name == "demo"


def test_an_error_is_one_line_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert cli.main(["kubeconfig", "--name", "absent"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("devcluster: error: cluster 'absent' is not running; start it:")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_held_once_and_free_again(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    assert not locks.held(path)
    with locks.locked(path, "test", 1):
        assert locks.held(path)
        assert locks.try_lock(path) is None
        with (
            pytest.raises(errors.DevClusterError, match="another command holds"),
            locks.locked(path, "test", 0),
        ):
            raise AssertionError("two holders")
    assert not locks.held(path)


def test_a_removed_lock_is_not_mistaken_for_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    old = locks.try_lock(path)
    assert old is not None
    path.unlink()
    new = locks.try_lock(path)
    assert new is not None
    os.close(old)
    os.close(new)


def test_settings_come_back_as_written(tmp_path: Path) -> None:
    cluster = layout.Cluster("x", tmp_path)
    assert settings.read(cluster) is None
    for egress, fakes, qps in ((True, 0, 0), (False, 5, 1000)):
        chosen = settings.Settings(2, 26001, {"kube": "/k"}, egress, fakes, qps)
        settings.write(cluster, chosen)
        assert settings.read(cluster) == chosen


def test_settings_of_an_earlier_version_mean_no_way_out(tmp_path: Path) -> None:
    cluster = layout.Cluster("x", tmp_path)
    cluster.settings.write_text('{"nodes": 2, "port": 26001, "binaries": {}}')
    assert settings.read(cluster) == settings.Settings(2, 26001, {}, egress=False)


def test_a_running_cluster_is_not_changed_by_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = layout.Cluster("x", tmp_path)
    settings.write(cluster, settings.Settings(0, 26001, {}, fake_nodes=5))
    monkeypatch.setattr(launch, "alive", lambda _: True)
    with pytest.raises(errors.DevClusterError, match="runs with --fake-nodes 5, not 6"):
        lifecycle.up(cluster, lifecycle.Asked(fake_nodes=6), unheard)


def test_damaged_settings_say_how_to_get_rid_of_them(tmp_path: Path) -> None:
    cluster = layout.Cluster("x", tmp_path)
    cluster.settings.write_text("{")
    with pytest.raises(errors.DevClusterError, match="devcluster down --name x"):
        settings.read(cluster)


def test_a_taken_port_is_named_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(launch.PortTaken, match=rf"127\.0\.0\.1:{port} is in use.*--port"):
            launch.listen(port)


def test_a_taken_preferred_port_gives_way_to_the_next() -> None:
    first = launch.free_port("some-name")
    with launch.listen(first):
        assert launch.free_port("some-name") > first


@pytest.fixture
def served(tmp_path: Path) -> Path:
    # deeper than the 108 bytes that a socket's address may have
    path = tmp_path / ("d" * 120) / "control.sock"
    path.parent.mkdir()
    server = control.listen(path)

    def handle(
        request: control.Request, descriptor: int | None, say: control.Say
    ) -> dict[str, object]:
        if request["do"] == "fail":
            raise errors.DevClusterError("no such node")
        say("on it")
        return {"read": os.read(descriptor, 100).decode() if descriptor is not None else None}

    threading.Thread(target=control.serve, args=(server, handle), daemon=True).start()
    return path


def test_a_request_gets_progress_and_an_answer(served: Path) -> None:
    told: list[str] = []
    assert control.ask(served, {"do": "x"}, say=told.append) == {"read": None}
    assert told == ["on it"]


def test_an_open_file_goes_along(served: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.write_text("content")
    with archive.open() as opened:
        answer = control.ask(served, {"do": "x"}, say=unheard, descriptor=opened.fileno())
    assert answer == {"read": "content"}


def test_a_refusal_is_raised_with_its_words(served: Path) -> None:
    with pytest.raises(errors.DevClusterError, match="no such node"):
        control.ask(served, {"do": "fail"}, say=unheard)


def test_no_supervisor_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(control.NotListening):
        control.ask(tmp_path / "control.sock", {"do": "x"}, say=unheard)
