"""How property tests search, and the fixtures of those tests that need a cluster."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from demo import existing
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


# Names a context of the user's kubeconfig: `make e2e CONTEXT=...` runs on an existing cluster.
CONTEXT = "AGENTSYSTEM_TEST_CONTEXT"


@pytest.fixture(scope="session")
def cluster_name() -> str:
    """Name of the running dev cluster that this run may use.

    A test that asks for it needs what only a dev cluster has: its audit log, power over nodes.
    """
    name = os.environ.get("AGENTSYSTEM_TEST_CLUSTER")
    if not name:
        pytest.fail(
            "no test cluster: run `make integration` or `make e2e`, or raise one with "
            "`python3 -m devcluster up --name dev` and set AGENTSYSTEM_TEST_CLUSTER=dev"
        )
    return name


@pytest.fixture(scope="session")
def kubeconfig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Path of a kubeconfig of the test cluster's administrator."""
    if context := os.environ.get(CONTEXT):
        file = tmp_path_factory.mktemp("context") / "kubeconfig"
        existing.Existing(context).write_kubeconfig(file)
        yield str(file)
        file.unlink()  # pytest keeps its folders, and this one holds a key
        return
    name = request.getfixturevalue("cluster_name")
    command = [sys.executable, "-m", "devcluster", "kubeconfig", "--name", name]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    yield done.stdout.strip()


@pytest.fixture(scope="session")
def kube(request: pytest.FixtureRequest, kubeconfig: str) -> Iterator[Kube]:
    """The test cluster."""
    if os.environ.get(CONTEXT):
        kubectl = [*existing.kubectl_program(), "--kubeconfig", kubeconfig]
    else:
        name = request.getfixturevalue("cluster_name")
        kubectl = [sys.executable, "-m", "devcluster", "kubectl", "--name", name, "--"]
    cluster = Kube(kubeconfig, kubectl=kubectl)
    yield cluster
    cluster.http.close()
