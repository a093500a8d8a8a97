"""`config/default` as the demo installs it: named images, and marks to find it again by."""

from __future__ import annotations

import os
import pathlib
import tempfile
from typing import Any

import yaml

from demo import place, terminal

OPERATOR = "agentsystem-operator"
NAMESPACE = "agentsystem-system"
CRD = "agentsystems.agentsystem.dev"
Json = dict[str, Any]


def kustomization(base: str, names: place.Names, marks: dict[str, str]) -> Json:
    """A kustomization of `config/default` with those images and labels.

    Images under the names that the manifests have already need nothing but their key, as an
    annotation of the operator's pods.
    """
    whole: Json = {"resources": [base], "patches": patches(names)}
    if not names.key:
        image, _, tag = names.operator.rpartition(":")
        whole["images"] = [{"name": f"localhost/{OPERATOR}", "newName": image, "newTag": tag}]
    if marks:
        whole["labels"] = [{"pairs": marks}]
    return whole


def patches(names: place.Names) -> list[Json]:
    """What differs in the operator's Deployment: the image's key, or what agents run."""
    if names.key:
        template: Json = {"metadata": {"annotations": {"agentsystem.dev/image-key": names.key}}}
    else:
        runs = {"name": "AGENTSYSTEM_RUNTIME_IMAGE", "value": names.runtime}
        template = {"spec": {"containers": [{"name": "operator", "env": [runs]}]}}
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": OPERATOR, "namespace": NAMESPACE},
        "spec": {"template": template},
    }
    return [{"patch": yaml.safe_dump(patch)}]


def apply(where: place.Place, names: place.Names) -> None:
    """Apply `config/default` with those images and the place's marks."""
    with tempfile.TemporaryDirectory() as folder:
        overlay = pathlib.Path(folder).resolve() / "kustomization.yaml"
        base = os.path.relpath(terminal.ROOT / "config/default", overlay.parent)
        whole = kustomization(base, names, where.marks())
        overlay.write_text(yaml.safe_dump(whole))
        where.kubectl("apply", "--server-side", "-k", str(overlay.parent))
