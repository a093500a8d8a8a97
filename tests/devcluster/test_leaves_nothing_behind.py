"""However a dev cluster ends, the host is as it was before."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.devcluster import manifests, running


def busy(cluster: running.Cluster, folder: Path) -> set[int]:
    """Run a pod with a volume, so that there is something to leave; return all processes."""
    cluster.load_probe(folder)
    cluster.apply(manifests.namespace())
    cluster.apply(manifests.pod_with_claim("kept"))
    cluster.kubectl("wait", "-n", "probe", "--for=condition=Ready", "pod/kept", "--timeout=60s")
    found = running.tree(running.recorded_pid(cluster))
    assert any("/probe serve" in running.command_of(pid) for pid in found)
    return found


def test_down_leaves_nothing(tmp_path: Path) -> None:
    before = running.footprint()
    with running.raised("e2e-down", nodes=1) as cluster:
        processes = busy(cluster, tmp_path)
        cluster.run("down")
        assert running.living(processes) == {}
        assert running.remains("e2e-down") == []
    assert running.footprint() == before


def test_a_killed_supervisor_takes_its_cluster_along_and_down_removes_the_rest(
    tmp_path: Path,
) -> None:
    before = running.footprint()
    with running.raised("e2e-killed", nodes=1) as cluster:
        processes = busy(cluster, tmp_path)
        supervisor = next(
            pid
            for pid in sorted(processes)
            if "devcluster _supervise" in running.command_of(pid)
            and "devcluster-tools" not in running.command_of(pid)
        )
        os.kill(supervisor, signal.SIGKILL)
        running.eventually(
            "all processes gone",
            lambda: not running.living(processes),
            within_s=10,
        )
        cluster.run("down")
        assert running.remains("e2e-killed") == []
    assert running.footprint() == before


@pytest.mark.parametrize("moment_s", [0.1, 0.4, 1.0, 3.0, 5.0])
def test_an_interrupted_up_leaves_nothing(moment_s: float) -> None:
    name = "e2e-interrupted"
    before = running.footprint()
    cluster = running.Cluster(name)
    up = cluster.start("up", "--nodes", "1")
    time.sleep(moment_s)
    up.send_signal(signal.SIGINT)
    said, _ = up.communicate(timeout=30)
    assert up.returncode != 0, said
    assert running.remains(name) == []
    assert running.footprint() == before


def test_a_taken_port_is_named_and_nothing_starts() -> None:
    cluster = running.Cluster("e2e-port")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = cluster.attempt("up", "--nodes", "0", "--port", str(port))
    assert done.returncode == 1
    assert f"127.0.0.1:{port} is in use" in done.stderr
    assert "--port" in done.stderr
    assert running.remains("e2e-port") == []
