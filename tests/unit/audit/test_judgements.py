"""What scanners' reports mean: what they do not say is never taken for clean."""

from __future__ import annotations

import json
import pathlib

import pytest

from audit import dependencies, environment, manifests

CPU = manifests.Finding("CKV_K8S_11", "Deployment.a.b")
ROOT_USER = manifests.Finding("CKV_K8S_40", "Deployment.a.b")


def test_a_finding_without_a_reason_and_a_reason_without_a_finding_are_problems() -> None:
    assert manifests.judge({CPU}, {CPU: "meant"}) == []

    unexplained, stale = manifests.judge({ROOT_USER}, {CPU: "meant"})

    assert "not explained: CKV_K8S_40" in unexplained
    assert "CKV_K8S_11 Deployment.a.b" in stale


def test_a_reason_is_about_named_objects_not_about_a_rule() -> None:
    other = manifests.Finding("CKV_K8S_11", "Deployment.a.other")

    (problem,) = manifests.judge({CPU, other}, {CPU: "meant"})

    assert "Deployment.a.other" in problem


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- {check: A, resources: [x], reason: so}", "A x needs a reason"),
        (
            "- {check: A, resources: [x, x], reason: as we mean it here}",
            "A x is explained twice",
        ),
    ],
)
def test_an_exception_is_listed_once_with_a_reason(
    tmp_path: pathlib.Path, text: str, complaint: str
) -> None:
    (tmp_path / "exceptions.yaml").write_text(text)

    with pytest.raises(environment.CannotAudit, match=complaint):
        manifests.read_exceptions(tmp_path / "exceptions.yaml")


def test_our_own_exceptions_can_be_read() -> None:
    assert manifests.read_exceptions(manifests.EXCEPTIONS)


def test_objects_that_the_scanner_did_not_see_are_not_clean(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "{apiVersion: v1, kind: Pod}\n---\n{apiVersion: v1, kind: Pod}"
    )
    seen = {"kubernetes": {"summary": {"resource_count": 1}}}

    with pytest.raises(environment.CannotAudit, match="saw 1 of 2 objects"):
        manifests.require_all_seen(seen, tmp_path)


def report(*packages: dict[str, object]) -> str:
    return json.dumps({"dependencies": packages})


CLEAN: dict[str, object] = {"name": "a", "version": "1", "vulns": []}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no report"),
        (report(), "0 of 0 packages"),
        (report(CLEAN, {"name": "b", "skip_reason": "not found"}), "1 of 2 packages; not found"),
    ],
)
def test_advisories_that_were_not_looked_up_are_unknown(text: str, why: str) -> None:
    read = dependencies.read_report(text)

    assert isinstance(read, dependencies.Unknown)
    assert why in read.why


def test_a_known_vulnerability_is_named_with_its_fix() -> None:
    known = {"id": "GHSA-1", "fix_versions": ["2", "3"]}
    unfixed = {"id": "GHSA-2", "fix_versions": []}
    broken: dict[str, object] = {"name": "b", "version": "1", "vulns": [known, unfixed]}

    read = dependencies.read_report(report(CLEAN, broken))

    assert read == dependencies.Advisories(
        ("b 1: GHSA-1, fixed in 2, 3", "b 1: GHSA-2, fixed in no release yet")
    )


def test_every_pin_of_a_lock_is_read() -> None:
    text = "a==1.0 \\\n    --hash=sha256:x\nb.c[d]==2.0.post1 ; python_version < '3.12' \\\n"

    assert dependencies.pins_of(text) == {"a": "1.0", "b.c": "2.0.post1"}
