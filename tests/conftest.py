"""Fixtures that need a cluster. Tests without one never ask for them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kube import Kube

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def cluster_name() -> str:
    """Name of the running dev cluster that this run may use."""
    name = os.environ.get("AGENTSYSTEM_TEST_CLUSTER")
    if not name:
        pytest.fail(
            "no test cluster: run `make integration` or `make e2e`, or raise one with "
            "`python3 -m devcluster up --name dev` and set AGENTSYSTEM_TEST_CLUSTER=dev"
        )
    return name


@pytest.fixture(scope="session")
def kubeconfig(cluster_name: str) -> str:
    """Path of the administrator's kubeconfig."""
    command = [sys.executable, "-m", "devcluster", "kubeconfig", "--name", cluster_name]
    return subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


@pytest.fixture(scope="session")
def kube(cluster_name: str, kubeconfig: str) -> Iterator[Kube]:
    """The test cluster."""
    kubectl = [sys.executable, "-m", "devcluster", "kubectl", "--name", cluster_name, "--"]
    cluster = Kube(kubeconfig, kubectl=kubectl)
    yield cluster
    cluster.http.close()
