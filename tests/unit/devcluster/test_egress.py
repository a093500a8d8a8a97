"""Whether there can be a way out of the cluster is found out without failing."""

from pathlib import Path

import pytest

from devcluster import egress, host, lifecycle
from devcluster.errors import DevClusterError

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
br-x\t00006000\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""
DEFAULT = "egress0\t00000000\t0200C90A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"


@pytest.fixture(autouse=True)
def able(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that can; each test takes one thing away."""
    device = tmp_path / "tun"
    device.touch()
    monkeypatch.setattr(egress, "TUN", device)
    monkeypatch.setattr(host, "missing_packages", lambda _: [])


def test_an_able_machine_has_a_way_out_and_needs_no_word() -> None:
    said: list[str] = []
    assert lifecycle.way_out(said.append)
    assert said == []


def test_a_missing_device_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "TUN", tmp_path / "absent")
    said: list[str] = []
    assert not lifecycle.way_out(said.append)
    (line,) = said
    assert line.startswith("pods will not reach the internet: ")
    assert "absent: No such file or directory; try 'modprobe tun'" in line


def test_a_missing_program_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise DevClusterError("apt-get install slirp4netns failed: no\nroute")

    monkeypatch.setattr(host, "install", refuse)
    said: list[str] = []
    assert not lifecycle.way_out(said.append)
    assert said == [
        "pods will not reach the internet: apt-get install slirp4netns failed: no route"
    ]


def test_a_default_route_counts_only_through_our_interface() -> None:
    assert not egress.has_default(ROUTES)
    assert not egress.has_default(ROUTES + DEFAULT.replace("egress0", "eth0"))
    assert egress.has_default(ROUTES + DEFAULT)


def test_a_program_that_ended_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = egress.TUN.with_name("route")
    routes.write_text(ROUTES)
    monkeypatch.setattr(egress, "ROUTES", routes)
    with pytest.raises(DevClusterError, match=r"slirp4netns did not start; see logs/"):
        egress.wait(lambda: False)
    routes.write_text(ROUTES + DEFAULT)
    egress.wait(lambda: False)


def test_the_hosts_loopback_is_closed_and_the_program_has_no_rights() -> None:
    command = egress.program().command
    assert {"--disable-host-loopback", "--enable-sandbox", "--enable-seccomp"} <= set(command)
