"""`--allowed-images` on a real operator: what is not allowed is explained and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import builders
from tests.integration import hostile
from tests.integration.hostile import asleep, complaint, settled, snapshot
from tests.integration.operator_process import operator
from tests.kube import Kube

GOOD, OTHER = "registry.example/team/app:1", "registry.example/other/app:1"
TEAM = ("--allowed-images", "registry.example/team/*")
BOTH = (*TEAM, "--allowed-images", "registry.example/other/*")


@pytest.fixture
def ns(kube: Kube) -> Iterator[str]:
    with hostile.namespace(kube, "images") as name:
        yield name


def test_an_image_that_is_not_allowed_waits_while_everything_runs_on(
    kube: Kube, credentials: Path, ns: str
) -> None:
    """Also one that was allowed when it was started; what names no image is not concerned."""
    log = credentials.parent / "log"
    with operator(credentials, log, "--identity", "images", *BOTH):
        kube.apply(asleep("good", ns, runtime={"image": GOOD}))
        kube.apply(asleep("other", ns, runtime={"image": OTHER}))
        kube.apply(asleep("plain", ns))
        for name in ("good", "other", "plain"):
            settled(kube, name, ns)
    before = snapshot(kube, ns)

    with operator(credentials, log, "--identity", "images", *TEAM):
        message = complaint(kube, "other", ns, "ImageNotAllowed")
        assert message == (
            f"spec.runtime.image: image '{OTHER}' is not allowed by this operator, which allows"
            " registry.example/team/*; name another, or ask the operator's administrator"
        )
        kube.apply(asleep("good", ns, runtime={"image": "evil.example/registry.example/team/app"}))
        complaint(kube, "good", ns, "ImageNotAllowed")
        agents = [builders.agent(replicas=1)]
        kube.apply(asleep("other", ns, runtime={"image": OTHER}, agents=agents))
        settled(kube, "other", ns)
        assert snapshot(kube, ns) == before

        kube.apply(asleep("other", ns, runtime={"image": GOOD}))
        settled(kube, "other", ns)
        assert snapshot(kube, ns) != before
