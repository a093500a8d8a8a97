"""How property tests search, and the fixtures of those tests that need a cluster."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.kube import Kube

ROOT = Path(__file__).resolve().parent.parent

# The same examples each time: a failure that comes and goes helps nobody. Longer searches, with
# new examples, are for `pytest tests/property --hypothesis-profile=search`.
_QUICK = (hypothesis.Phase.explicit, hypothesis.Phase.generate, hypothesis.Phase.shrink)
hypothesis.settings.register_profile(
    "fixed", derandomize=True, deadline=None, phases=_QUICK, database=None
)
hypothesis.settings.register_profile("search", deadline=None, max_examples=2_000)
hypothesis.settings.load_profile("fixed")


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
