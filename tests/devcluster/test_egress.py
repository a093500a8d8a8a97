"""Pods reach what the host reaches, and neither the host itself nor what is only the host's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster import layout
from tests.devcluster import manifests, outside, running

PAGE = f"http://{outside.ADDRESS}:{outside.PORT}/"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Cluster]:
    folder = tmp_path_factory.mktemp("outside")
    running.Cluster("e2e-egress").run("build")  # installs what is missing: there is no way to here
    with (
        outside.world(folder) as within,
        running.raised("e2e-egress", nodes=1, within=within) as raised,
    ):
        raised.load_probe(folder)
        raised.apply(manifests.namespace())
        raised.apply(manifests.pod_with_claim("out"))
        raised.kubectl("wait", "-n", "probe", "--for=condition=Ready", "pod/out", "--timeout=60s")
        yield raised


def fetch(cluster: running.Cluster, url: str) -> subprocess.CompletedProcess[str]:
    return cluster.attempt("kubectl", "exec", "-n", "probe", "out", "--", "/probe", "get", url)


@pytest.mark.parametrize("host", [outside.ADDRESS, outside.NAME])
def test_a_pod_reaches_the_outside(cluster: running.Cluster, host: str) -> None:
    assert fetch(cluster, f"http://{host}:{outside.PORT}/").stdout == outside.PAGE


@pytest.mark.parametrize("number", [2, 3, 100])
def test_the_hosts_loopback_stays_the_hosts(cluster: running.Cluster, number: int) -> None:
    address = layout.EGRESS_RANGE.replace(".0/24", f".{number}")
    answer = fetch(cluster, f"http://{address}:{outside.PORT}/")
    assert (answer.returncode, answer.stdout) == (1, "")


def test_a_clouds_credentials_are_out_of_reach(cluster: running.Cluster) -> None:
    answer = fetch(cluster, f"http://{outside.METADATA}:{outside.PORT}/")
    assert "host is unreachable" in answer.stderr or "no route to host" in answer.stderr


def test_names_of_the_cluster_are_not_asked_outside(cluster: running.Cluster) -> None:
    for name in ("nobody", "nobody.probe.svc", "elsewhere.example", outside.NAME):
        fetch(cluster, f"http://{name}:{outside.PORT}/")
    asked = json.loads(fetch(cluster, f"{PAGE}asked").stdout)
    assert set(asked) == {"elsewhere.example", outside.NAME}


def test_the_way_out_opens_again_after_its_program_was_killed(cluster: running.Cluster) -> None:
    cluster.run("restart", "slirp4netns")
    running.eventually(
        "reached again", lambda: fetch(cluster, PAGE).stdout == outside.PAGE, within_s=10
    )


def test_the_way_out_ends_with_the_cluster(cluster: running.Cluster) -> None:
    found = running.tree(running.recorded_pid(cluster))
    assert any("slirp4netns" in running.command_of(pid) for pid in found)
    cluster.run("stop")
    assert running.living(found) == {}


def test_without_the_kernels_help_there_is_a_cluster_and_a_word(tmp_path: Path) -> None:
    cover = "mount -t tmpfs none /dev/net"
    with outside.world(tmp_path, cover) as within:
        cluster = running.Cluster("e2e-inside", within=within)
        try:
            up = cluster.attempt("up", "--nodes", "1")
            assert up.returncode == 0, up.stderr
            assert up.stderr.count("pods will not reach the internet: /dev/net/tun") == 1
            assert "slirp4netns" not in cluster.run("status")
        finally:
            cluster.run("down")
