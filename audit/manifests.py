"""checkov over everything that `config/` gives: each kustomization rendered, and plain files.

checkov passes over a file that it cannot parse without a word, so every file is parsed here first,
and the number of objects that it saw must be the number that it was given.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

import yaml

from audit import environment
from demo import existing

ROOT = environment.LOCK.parent.parent
CONFIG = ROOT / "config"
EXCEPTIONS = pathlib.Path(__file__).with_name("exceptions.yaml")
KUSTOMIZATION = "kustomization.yaml"
FRAMEWORKS = ("kubernetes", "dockerfile")


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    """One rule that one object breaks."""

    check: str
    resource: str
    title: str = dataclasses.field(compare=False, default="")
    file: str = dataclasses.field(compare=False, default="")

    def __str__(self) -> str:
        return f"{self.check} ({self.title}): {self.resource} in {self.file}"


def problems() -> list[str]:
    """What the scanner finds without a reason of ours, and reasons without a finding."""
    with tempfile.TemporaryDirectory() as folder:
        material = pathlib.Path(folder)
        render(CONFIG, material)
        shutil.copy(ROOT / "Dockerfile", material)
        found = scan(material)
    return judge(found, read_exceptions(EXCEPTIONS))


def judge(found: set[Finding], reasons: Mapping[Finding, str]) -> list[str]:
    """Findings and reasons that do not meet, in words."""
    known = set(reasons)
    unexplained = [f"not explained: {finding}" for finding in sorted(found - known)]
    stale = [
        f"{EXCEPTIONS.name} explains what is not found (any more): {each.check} {each.resource}"
        for each in sorted(known - found)
    ]
    return unexplained + stale


def read_exceptions(file: pathlib.Path) -> dict[Finding, str]:
    """The exceptions of a file; CannotAudit when one has no reason or is listed twice."""
    reasons: dict[Finding, str] = {}
    for entry in yaml.safe_load(file.read_text()):
        for resource in entry["resources"]:
            finding = Finding(entry["check"], resource)
            if finding in reasons:
                raise environment.CannotAudit(f"{finding.check} {resource} is explained twice")
            if len(entry["reason"].split()) < 4:
                raise environment.CannotAudit(f"{finding.check} {resource} needs a reason")
            reasons[finding] = entry["reason"]
    return reasons


def render(config: pathlib.Path, into: pathlib.Path) -> None:
    """Write every object under `config` as a cluster would get it, one file per source."""
    rendered = set()
    for file in sorted(config.rglob(KUSTOMIZATION)):
        rendered.add(file.parent)
        if yaml.safe_load(file.read_text()).get("kind") != "Component":  # only built into others
            write(into, file.parent.relative_to(config), kustomize(file.parent))
    for file in sorted(config.rglob("*.yaml")):
        if file.parent not in rendered and is_manifest(file.read_text()):
            write(into, file.relative_to(config).with_suffix(""), file.read_text())


def kustomize(folder: pathlib.Path) -> str:
    """What `kubectl kustomize` makes of a folder."""
    done = environment.run(*existing.kubectl_program(), "kustomize", folder)
    if done.returncode:
        raise environment.CannotAudit(f"kubectl kustomize {folder}: {done.stderr.strip()}")
    return done.stdout


def is_manifest(text: str) -> bool:
    """Say whether a file holds Kubernetes objects; CannotAudit when it is not YAML at all."""
    return bool(objects(text))


def objects(text: str) -> list[dict[str, Any]]:
    """The Kubernetes objects of a text."""
    try:
        found = list(yaml.safe_load_all(text))
    except yaml.YAMLError as exc:
        raise environment.CannotAudit(f"not YAML: {exc}") from exc
    return [
        each for each in found if isinstance(each, dict) and {"apiVersion", "kind"} <= set(each)
    ]


def write(into: pathlib.Path, name: pathlib.Path, text: str) -> None:
    """Write objects under a name that tells where they come from."""
    (into / f"{'-'.join(name.parts)}.yaml").write_text(text)


def scan(folder: pathlib.Path) -> set[Finding]:
    """What checkov finds in a folder; CannotAudit unless it looked at every object there."""
    done = environment.run(
        *(environment.ensure() / "checkov", "--directory", ".", "--output", "json"),
        *("--framework", *FRAMEWORKS, "--quiet", "--compact", "--skip-download"),
        at=folder,
    )
    try:
        shown = json.loads(done.stdout)
    except ValueError as exc:
        raise environment.CannotAudit(f"checkov said no JSON: {done.stderr[-2000:]}") from exc
    reports = {each["check_type"]: each for each in (shown if isinstance(shown, list) else [shown])}
    require_all_seen(reports, folder)
    return {
        Finding(
            each["check_id"], each["resource"], each["check_name"], each["file_path"].strip("/")
        )
        for report in reports.values()
        for each in report["results"]["failed_checks"]
    }


def require_all_seen(reports: dict[str, Any], folder: pathlib.Path) -> None:
    """Raise CannotAudit when a report is missing, or its objects are fewer than there are."""
    given = {"dockerfile": len(list(folder.glob("Dockerfile")))}
    given["kubernetes"] = sum(len(objects(file.read_text())) for file in folder.glob("*.yaml"))
    for name, count in given.items():
        seen = reports.get(name, {}).get("summary", {}).get("resource_count", 0)
        if seen < count:
            raise environment.CannotAudit(f"checkov saw {seen} of {count} objects ({name})")
