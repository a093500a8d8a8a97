"""What `spec.guard` means for an agent's pods: files that are mounted, and what the config says.

Only systems that authenticate their callers have any of it. The pods' own token is for siblings
alone: no apiserver takes it.
"""

from collections.abc import Iterator
from typing import Any

from agentsystem_operator.api.guard import Auth, Jwt, Limits
from agentsystem_operator.api.kubernetes import KeyReference
from agentsystem_operator.api.spec import AgentSystemSpec
from agentsystem_operator.api.types import timedelta_of
from agentsystem_operator.decide.workloads import Owner, Workload
from agentsystem_operator.model import names
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.plan import metadata

DIR = "/etc/agentsystem/guard"
KEYS_FILE = "jwks.json"
TOKEN_FILE = "token"  # noqa: S105  # the name of a file
AUDIENCE = "agentsystem.dev/siblings"
TOKEN_LIFE_S = 3600
"""The kubelet replaces it when four fifths of that are over."""


def config_of(workload: Workload) -> dict[str, Any]:
    """Return what `guard` of an agent's config says of callers; empty where nothing is stated."""
    guard: dict[str, Any] = {}
    if workload.auth is not None:
        guard["auth"] = _auth(workload.auth, f"{DIR}/secret/value")
    if workload.vouches or workload.believes:
        key = workload.owner.key
        account = f"system:serviceaccount:{key.namespace}:{key.name}--"
        file = (
            {"token": f"{DIR}/siblings/{TOKEN_FILE}"}
            if workload.vouches
            else {"keys": f"{DIR}/siblings/{KEYS_FILE}"}
        )
        guard["siblings"] = {"account": account, **file}
    return _with(workload.guard.limits, guard, counts=workload.lets_in)


def config_on_laptop(spec: AgentSystemSpec) -> dict[str, Any]:
    """Return the same for the config of one process with all agents."""
    guard = {"auth": _auth(spec.auth, "guard/value")} if spec.auth else {}
    return _with(spec.guard.limits, guard, counts=True)


def _with(limits: Limits | None, guard: dict[str, Any], *, counts: bool) -> dict[str, Any]:
    if limits is None:
        return guard
    return {**guard, "limits": (limits if counts else limits.of_pod()).body()}


def _auth(auth: Auth, file: str) -> dict[str, Any]:
    body: dict[str, Any] = {"type": auth.type.value}
    if auth.api_keys is not None:
        return {**body, "apiKeys": _secret_file(auth.api_keys.secret_ref, file)}
    return {**body, "jwt": _jwt(auth.jwt, file)} if auth.jwt is not None else body


def _jwt(jwt: Jwt, file: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "issuer": jwt.issuer,
        "audience": jwt.audience,
        "clockSkewSeconds": timedelta_of(jwt.clock_skew).total_seconds(),
        "claims": jwt.claims.body(),
    }
    if jwt.shared_key_secret_ref is not None:
        return {**body, "sharedKey": _secret_file(jwt.shared_key_secret_ref, file)}
    return {**body, "jwksURL": jwt.jwks_url}


def _secret_file(ref: KeyReference, file: str) -> dict[str, Any]:
    return {"file": file, "secretName": ref.name, "secretKey": ref.key}


def mounts(workload: Workload) -> Iterator[dict[str, Any]]:
    """Yield the mounts of the agent's container."""
    if _secret(workload) is not None:
        yield {"name": "guard-secret", "mountPath": f"{DIR}/secret", "readOnly": True}
    if workload.vouches or workload.believes:
        yield {"name": "guard-siblings", "mountPath": f"{DIR}/siblings", "readOnly": True}


def volumes(workload: Workload) -> Iterator[dict[str, Any]]:
    """Yield the volumes of the agent's pods."""
    secret = _secret(workload)
    if secret is not None:
        items = [{"key": secret.key, "path": "value"}]
        # Optional: without it the pod runs, and says to callers and in its log what is missing.
        found = {"secretName": secret.name, "optional": True, "items": items}
        yield {"name": "guard-secret", "secret": found}
    if workload.vouches:
        token = {"audience": AUDIENCE, "expirationSeconds": TOKEN_LIFE_S, "path": TOKEN_FILE}
        yield {"name": "guard-siblings", "projected": {"sources": [{"serviceAccountToken": token}]}}
    elif workload.believes:
        name = names.cluster_keys(workload.owner.key).name
        yield {"name": "guard-siblings", "configMap": {"name": name, "optional": True}}


def _secret(workload: Workload) -> KeyReference | None:
    auth = workload.auth
    if auth is None:
        return None
    if auth.api_keys is not None:
        return auth.api_keys.secret_ref
    return auth.jwt.shared_key_secret_ref if auth.jwt is not None else None


def build_cluster_keys(owner: Owner, keys: str) -> Manifest:
    """Return the ConfigMap with the public keys that verify service-account tokens.

    Outside any revision, and not immutable: the cluster changes its keys without asking us.
    """
    ref = names.cluster_keys(owner.key)
    return metadata.manifest(ref, owner, {"data": {KEYS_FILE: keys}}, agent=None)
