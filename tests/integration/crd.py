"""The CRD on a real apiserver, and what its refusals blame; shared by the tests of the CRD."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.kube import PATHS, Kube, eventually

CRD = Path(__file__).resolve().parents[2] / "crds" / "agentsystems.agentsystem.dev.yaml"
SYSTEMS = PATHS["AgentSystem"].format(ns="default")
REFUSED = {httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY}
_UNKNOWN = re.compile(r'unknown field "([^"]+)"')


def serve(kube: Kube) -> Kube:
    """Apply the CRD and return when its kind is served."""
    kube.apply(yaml.safe_load(CRD.read_text(encoding="utf-8")))
    eventually("the kind is served", lambda: kube.http.get(SYSTEMS).is_success, within_s=30)
    return kube


def create(kube: Kube, body: Mapping[str, Any], *, dry_run: bool = True) -> httpx.Response:
    """Create the resource, strictly; by default only as if."""
    query = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})
    return kube.http.post(SYSTEMS, params=query, json=body)


def blamed(answer: httpx.Response) -> set[str]:
    """Return the fields that a refusal names; a strict decoding error has them in its text."""
    status = answer.json()
    unknown = _UNKNOWN.findall(status["message"])
    causes = status.get("details", {}).get("causes", [])
    return {cause["field"] for cause in causes if cause["field"] != "<nil>"} | set(unknown)
