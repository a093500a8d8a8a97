"""Argo CD-like and Flux-like tools beside the operator for ten minutes, counted."""

from __future__ import annotations

import pytest

from tests.integration.coexistence import gitops
from tests.integration.operator_process import Process
from tests.kube import Kube

FOR_S = 600.0


@pytest.mark.timeout(FOR_S + 300)
def test_ten_minutes_of_re_applying_change_nothing(
    running: Process, kube: Kube, cluster_name: str, ns: str
) -> None:
    count = gitops.beside(kube, cluster_name, ns, for_s=FOR_S)
    print(f"{count.syncs} rounds, {len(count.writes)} writes of the operator")  # noqa: T201
    assert count.syncs >= 60
    assert count.writes == []
    assert count.after == count.before
