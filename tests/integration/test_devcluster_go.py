"""The Go tests of the dev cluster run with ours.

They are among those that need a cluster because that has built what they link: Go is there, the
modules are, and the tests take seconds.
"""

from __future__ import annotations

import os
import subprocess

from tests.conftest import ROOT


def test_network_policies_are_translated_as_kubernetes_defines_them(cluster_name: str) -> None:
    # flags of the build, so that packages that it compiled are not compiled again
    done = subprocess.run(
        ["go", "test", "-trimpath", "-count=1", "./policy"],
        cwd=ROOT / "devcluster",
        env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no test files" not in done.stdout
