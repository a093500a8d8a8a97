"""`make demo CONTEXT=...` on a cluster that it knows nothing about but a kubeconfig.

A second dev cluster plays the user's: its kubeconfig lies elsewhere, under another name, with a
current context that leads nowhere, so that nothing but the named context can have been used.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml

from tests.conftest import ROOT
from tests.devcluster import running

CONTEXT = "kind-foreign"
NAME = "fgn"
MARKED = "--selector=agentsystem.dev/made-by=demo"
KINDS = "namespaces,customresourcedefinitions,clusterroles,clusterrolebindings,priorityclasses"


@dataclasses.dataclass(frozen=True)
class Foreign:
    """The user's cluster."""

    kubeconfig: pathlib.Path
    cluster: running.Cluster

    def make(self, target: str, *variables: str) -> subprocess.CompletedProcess[str]:
        """Run a make target as the user would."""
        return subprocess.run(
            ["make", "--no-print-directory", target, f"CONTEXT={CONTEXT}", *variables],
            cwd=ROOT,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    def made_by_demo(self) -> set[str]:
        """What carries the demo's mark outside of namespaces, and the namespaces that do."""
        return set(self.cluster.kubectl("get", KINDS, MARKED, "--output=name").split())


@pytest.fixture
def foreign(tmp_path: pathlib.Path) -> Iterator[Foreign]:
    """A cluster of one node behind a kubeconfig of another name."""
    with running.raised(NAME, nodes=1) as cluster:
        whole = yaml.safe_load(cluster.layout.kubeconfig.read_text())
        whole["contexts"][0]["name"] = CONTEXT
        whole["current-context"] = "nowhere"
        kubeconfig = tmp_path / "config"
        kubeconfig.write_text(yaml.safe_dump(whole))
        yield Foreign(kubeconfig, cluster)


def test_the_demo_comes_and_goes_and_touches_nothing_else(foreign: Foreign) -> None:
    """It talks, leaves the kubeconfig alone, spares what others have, and removes what it made."""
    before = foreign.kubeconfig.read_text()
    load = shlex.join([sys.executable, "-m", "devcluster", "load-image", "--name", NAME])

    up = foreign.make("demo", f"IMAGE_LOAD={load}")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "promptx: Your name is Ada. You told me earlier in this session." in up.stdout
    assert f"make demo-down CONTEXT={CONTEXT}" in up.stdout
    assert foreign.kubeconfig.read_text() == before
    made = foreign.made_by_demo()
    assert {"namespace/demo", "namespace/agentsystem-system"} < made

    # An operator that is there already is not replaced: that of the demo, as the tests see it.
    tests = foreign.make("e2e", f"IMAGE_LOAD={load}")
    assert tests.returncode != 0
    assert "has a customresourcedefinition/agentsystems.agentsystem.dev already" in tests.stderr

    foreign.cluster.kubectl("create", "namespace", "others")
    theirs = (ROOT / "config/samples/openai.yaml").read_text()
    foreign.cluster.apply(theirs.replace("name: helpdesk", "name: theirs\n  namespace: others"))
    spared = foreign.make("demo-down")
    assert spared.returncode != 0
    assert "others/theirs would go with it" in spared.stderr
    assert foreign.made_by_demo() == made

    foreign.cluster.kubectl("delete", "asys", "theirs", "--namespace=others")
    down = foreign.make("demo-down")
    assert down.returncode == 0, down.stdout + down.stderr
    assert foreign.made_by_demo() == set()
    assert "namespace/others" in foreign.cluster.kubectl("get", "namespaces", "--output=name")
    assert foreign.kubeconfig.read_text() == before
