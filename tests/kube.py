"""The cluster as tests see it: plain HTTPS to the apiserver, and kubectl where a user types it.

A client of its own, not the operator's, so that a fault there cannot hide itself here.
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

T = TypeVar("T")
Object = dict[str, Any]

PATHS = {
    "AgentSystem": "/apis/agentsystem.dev/v1alpha1/namespaces/{ns}/agentsystems",
    "ConfigMap": "/api/v1/namespaces/{ns}/configmaps",
    "ControllerRevision": "/apis/apps/v1/namespaces/{ns}/controllerrevisions",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "Deployment": "/apis/apps/v1/namespaces/{ns}/deployments",
    "Event": "/apis/events.k8s.io/v1/namespaces/{ns}/events",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases",
    "Namespace": "/api/v1/namespaces",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies",
    "PersistentVolumeClaim": "/api/v1/namespaces/{ns}/persistentvolumeclaims",
    "Pod": "/api/v1/namespaces/{ns}/pods",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{ns}/poddisruptionbudgets",
    "ReplicaSet": "/apis/apps/v1/namespaces/{ns}/replicasets",
    "Secret": "/api/v1/namespaces/{ns}/secrets",
    "Service": "/api/v1/namespaces/{ns}/services",
    "ServiceAccount": "/api/v1/namespaces/{ns}/serviceaccounts",
}


class NotReached(AssertionError):
    """Something that should have happened did not happen in time."""


class Kube:
    """A cluster behind a kubeconfig file with one context: a client certificate or a token."""

    def __init__(self, kubeconfig: str, *, kubectl: list[str]) -> None:
        self.kubeconfig = kubeconfig
        self._kubectl = kubectl
        config = yaml.safe_load(Path(kubeconfig).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        token = user.get("token")
        self.http = httpx.Client(
            base_url=cluster["server"],
            verify=_trust(cluster, user),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=30,
        )

    def get(self, kind: str, name: str, ns: str = "") -> Object | None:
        """Return the object, or None when there is none of that name."""
        answer = self.http.get(f"{PATHS[kind].format(ns=ns)}/{name}")
        return None if answer.status_code == httpx.codes.NOT_FOUND else _good(answer)

    def list(self, kind: str, ns: str = "", *, labels: str = "") -> list[Object]:
        """Return the objects of a namespace, selected by labels."""
        query = {"labelSelector": labels} if labels else {}
        items: list[Object] = _good(self.http.get(PATHS[kind].format(ns=ns), params=query))["items"]
        return items

    def apply(self, body: Mapping[str, Any], *, manager: str = "tester") -> Object:
        """Server-side apply, strict about unknown fields."""
        return _good(self.try_apply(body, manager=manager))

    def try_apply(
        self, body: Mapping[str, Any], *, manager: str = "tester", dry_run: bool = False
    ) -> httpx.Response:
        """Server-side apply; returns the answer, good or bad."""
        meta = body["metadata"]
        query = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        return self.http.patch(
            f"{PATHS[body['kind']].format(ns=meta.get('namespace', ''))}/{meta['name']}",
            params=query,
            content=json.dumps(body, ensure_ascii=False),  # read as YAML: no surrogates
            headers={"Content-Type": "application/apply-patch+yaml"},
        )

    def try_create(self, body: Mapping[str, Any]) -> httpx.Response:
        """Create, strict about unknown fields; returns the answer, good or bad."""
        return self.http.post(
            PATHS[body["kind"]].format(ns=body["metadata"].get("namespace", "")),
            params={"fieldValidation": "Strict"},
            content=json.dumps(body),
            headers={"Content-Type": "application/json"},
        )

    def patch(self, kind: str, name: str, ns: str, change: Mapping[str, Any]) -> Object:
        """JSON merge patch, as a person with kubectl would make it."""
        return _good(
            self.http.patch(
                f"{PATHS[kind].format(ns=ns)}/{name}",
                params={"fieldManager": "kubectl-edit"},
                content=json.dumps(change),
                headers={"Content-Type": "application/merge-patch+json"},
            )
        )

    def delete(self, kind: str, name: str, ns: str = "", *, grace_s: int | None = None) -> None:
        """Delete with background propagation; gone already is fine."""
        options: Object = {"propagationPolicy": "Background"}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        path = f"{PATHS[kind].format(ns=ns)}/{name}"
        answer = self.http.request("DELETE", path, content=json.dumps(options))
        if answer.status_code != httpx.codes.NOT_FOUND:
            _good(answer)

    def kubectl(self, *arguments: str, stdin: str | None = None, ok: bool = True) -> str:
        """Run kubectl as a user does; returns what it prints, both streams."""
        done = subprocess.run(
            [*self._kubectl, *arguments],
            input=stdin,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        if ok and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stdout}")
        return done.stdout


def conditions(system: Object | None) -> dict[str, Object]:
    """Return the conditions of an object by type."""
    found = ((system or {}).get("status") or {}).get("conditions") or []
    return {condition["type"]: condition for condition in found}


def is_true(system: Object | None, kind: str) -> bool:
    """Say whether a condition is True for the current generation."""
    condition = conditions(system).get(kind)
    return (
        system is not None
        and condition is not None
        and condition["status"] == "True"
        and condition["observedGeneration"] == system["metadata"]["generation"]
    )


def eventually(what: str, look: Callable[[], T], *, within_s: float, every_s: float = 0.2) -> T:
    """Return the first truthy value that `look` gives; NotReached, with the last, otherwise."""
    deadline = time.monotonic() + within_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise NotReached(f"not within {within_s:g} s: {what}; last seen: {seen!r}")
        time.sleep(every_s)


def _good(answer: httpx.Response) -> Object:
    if answer.is_error:
        raise AssertionError(f"{answer.request.method} {answer.request.url}: {answer.text[:2000]}")
    body: Object = answer.json()
    return body


def administrator(kubeconfig: str) -> tuple[str, ssl.SSLContext]:
    """Return the apiserver's address and the credentials of a dev cluster's administrator."""
    config = yaml.safe_load(Path(kubeconfig).read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    return cluster["server"], _trust(cluster, user)


def _trust(cluster: Mapping[str, Any], user: Mapping[str, str]) -> ssl.SSLContext:
    """Whom we believe to be the apiserver, and, unless a token says so, who we are."""
    if cluster.get("insecure-skip-tls-verify"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority"))
    if "token" in user:
        return context
    if not {"client-certificate", "client-certificate-data"} & set(user):
        raise AssertionError("tests need a user with a client certificate or a token")
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as chain:
        chain.write(_pem(user, "client-certificate") + "\n" + _pem(user, "client-key"))
        chain.flush()
        context.load_cert_chain(chain.name)
    return context


def _pem(entry: Mapping[str, str], name: str) -> str:
    if inline := entry.get(f"{name}-data"):
        return base64.b64decode(inline).decode()
    return Path(entry[name]).read_text()
