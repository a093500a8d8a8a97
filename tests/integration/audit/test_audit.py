"""The scanners do find what is wrong: a clean answer of theirs means something.

Real tools and the real package index; what is wrong is made here.
"""

from __future__ import annotations

import datetime
import pathlib

import pytest

from audit import debian, dependencies, environment, manifests, sboms
from images import build, sbom

PRIVILEGED = """
apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: shop}
spec:
  containers:
    - {name: bad, image: bad, securityContext: {privileged: true}}
"""
RULE = manifests.Finding("CKV_K8S_16", "Pod.shop.bad")


@pytest.fixture
def config(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder as `config/` is: a kustomization, and a plain manifest beside it."""
    (tmp_path / "config/base").mkdir(parents=True)
    (tmp_path / "config/plain").mkdir()
    (tmp_path / "config/base/pod.yaml").write_text(PRIVILEGED.replace("shop", "none"))
    (tmp_path / "config/base/kustomization.yaml").write_text(
        "{kind: Kustomization, namespace: shop, resources: [pod.yaml]}"
    )
    (tmp_path / "config/plain/pod.yaml").write_text(PRIVILEGED.replace("bad", "plain"))
    return tmp_path / "config"


def test_a_privileged_pod_is_found_rendered_and_plain(
    config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "out").mkdir()
    manifests.render(config, tmp_path / "out")
    (tmp_path / "out/Dockerfile").write_text("FROM a:1\nUSER 1\n")

    found = manifests.scan(tmp_path / "out")

    assert {RULE, manifests.Finding("CKV_K8S_16", "Pod.shop.plain")} <= found
    assert any("CKV_K8S_16" in problem for problem in manifests.judge(found, {}))


def test_a_file_that_cannot_be_read_is_not_passed_over(
    config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (config / "plain/broken.yaml").write_text("kind: [Pod")

    with pytest.raises(environment.CannotAudit, match="not YAML"):
        manifests.render(config, tmp_path)


def test_a_bill_of_another_shape_is_refused(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "bill.cdx.json"
    file.write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": 1}]}')

    assert "bill.cdx.json" in sboms.complaint(file)


def test_a_withdrawn_release_and_an_old_one_are_named(tmp_path: pathlib.Path) -> None:
    """The authors of attrs withdrew 21.1.0, and what came after it has been out for years."""
    lock = tmp_path / "lock.txt"
    lock.write_text("attrs==21.1.0\n")

    (withdrawn,) = dependencies.yanked(lock)
    (old,) = dependencies.outdated(lock, datetime.datetime.now(datetime.UTC))

    assert "attrs==21.1.0 was withdrawn" in withdrawn
    assert old.startswith("lock.txt: attrs 21.1.0 is older than ")


def test_a_debian_package_of_another_day_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Debian offers has every package of our images; one that differs is named with both."""
    offered = debian.on_offer()
    inside = {
        package.name: package.version
        for built in build.build_all()
        for package in sbom.contents(built.archive).debian
    }
    assert set(inside) <= set(offered)

    newer = {**inside, "libc6": "9.99"}
    monkeypatch.setattr(debian, "on_offer", lambda: newer)  # Debian cannot be made to move
    old, advice = debian.problems()

    assert old == f"libc6 {inside['libc6']} in an image, Debian has 9.99"
    assert "FRESH=1" in advice
