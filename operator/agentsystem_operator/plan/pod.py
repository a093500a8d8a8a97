"""The pod template of an agent: one container that serves the rendered config.

Part of version 1 of the template (`templates`). A change of what is rendered here rolls every agent
of every system, so it needs a new version beside this one.
"""

from collections.abc import Iterator
from typing import Any

from agentsystem_operator.api.kubernetes import KeyReference
from agentsystem_operator.decide.workloads import Workload
from agentsystem_operator.model import names
from agentsystem_operator.model.references import Kind
from agentsystem_operator.plan import agent_config, guard, monitoring_config, pii_config

GRACE_S = 30
"""terminationGracePeriodSeconds: what a pod has, in all, from being told to stop to SIGKILL."""
GRACE_MARGIN_S = 2
"""Left for the process to exit after its last answer."""
NODE_LOSS_S = 10
"""How long a pod stays bound to a node that is not ready, before it is replaced elsewhere."""
USER = 65532

CONFIG_DIR = "/etc/agentsystem/config"
DATA_DIR = "/var/lib/agentsystem"
ENCRYPTION_DIR = "/etc/agentsystem/guard/encryption"
_PII_VOLUME = "pii-key"
_OTLP_VOLUME = "otlp-headers"

DEFAULT_RESOURCES = {
    "requests": {"cpu": "50m", "memory": "96Mi"},
    # No cpu limit: throttling a pod that streams answers helps nobody.
    "limits": {"memory": "512Mi"},
}


def build_pod_template(workload: Workload, *, revision: str) -> dict[str, Any]:
    """Return the pod template of one revision of an agent."""
    key, agent = workload.owner.key, workload.agent.name
    labels = {
        **names.labels(key, agent),
        **names.slot_selector(key, agent),
        names.REVISION: revision,
    }
    annotations = {names.TEMPLATE: str(workload.template)}
    return {
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": _pod(workload, revision),
    }


def _pod(workload: Workload, revision: str) -> dict[str, Any]:
    key, agent = workload.owner.key, workload.agent.name
    pod = {
        "serviceAccountName": names.agent_child(key, agent, Kind.SERVICE_ACCOUNT).name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [_spread(workload)],
        "tolerations": list(_tolerations(workload)),
        "containers": [_container(workload)],
        "volumes": list(_volumes(workload, revision)),
    }
    if workload.runtime.image_pull_secrets:
        pod["imagePullSecrets"] = [ref.body() for ref in workload.runtime.image_pull_secrets]
    return pod


def _spread(workload: Workload) -> dict[str, Any]:
    selector = dict(names.pod_selector(workload.owner.key, workload.agent.name))
    required = workload.defaults.spread_required
    return {
        "topologyKey": "kubernetes.io/hostname",
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule" if required else "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector},
        # Each ReplicaSet spreads by itself, or a rolling update would count the old pods.
        "matchLabelKeys": ["pod-template-hash"],
        # A cordoned node counts as an empty host otherwise, and a drain never ends.
        "nodeTaintsPolicy": "Honor",
    }


def _tolerations(workload: Workload) -> Iterator[dict[str, Any]]:
    stated = [toleration.stated() for toleration in workload.runtime.tolerations]
    # Without an effect a toleration is for all of them; any other one says nothing of staying.
    staying = [t for t in stated if t.get("effect", "NoExecute") == "NoExecute"]
    keys = {toleration.get("key") for toleration in staying}
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if key not in keys:
            yield {
                "key": key,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": NODE_LOSS_S,
            }
    yield from stated


def _container(workload: Workload) -> dict[str, Any]:
    pre_stop_s = _pre_stop_s(workload)
    return {
        "name": names.CONTAINER,
        "image": workload.image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["serve", "--config", f"{CONFIG_DIR}/{agent_config.FILE}"],
        "env": list(_env(workload)),
        "ports": [
            {"name": "http", "containerPort": names.HTTP_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": names.METRICS_PORT, "protocol": "TCP"},
        ],
        # A second a try: a pod is found ready within a second of being so.
        "startupProbe": _probe("/ready", period_s=1, failures=60),
        "readinessProbe": _probe("/ready", period_s=2, failures=2),
        "livenessProbe": _probe("/health", period_s=10, failures=3),
        # Endpoints are told of the end before the process is: it goes on serving meanwhile.
        "lifecycle": {"preStop": {"sleep": {"seconds": pre_stop_s}}},
        "resources": _resources(workload),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": list(_mounts(workload)),
    }


def _pre_stop_s(workload: Workload) -> int:
    return int(workload.defaults.pre_stop.total_seconds())


def _probe(path: str, *, period_s: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def _resources(workload: Workload) -> dict[str, Any]:
    stated = workload.resources
    return DEFAULT_RESOURCES if stated is None else stated.stated()


def _env(workload: Workload) -> Iterator[dict[str, Any]]:
    grace = GRACE_S - _pre_stop_s(workload) - GRACE_MARGIN_S
    yield {"name": "AGENT_GRACE_SECONDS", "value": str(grace)}
    yield {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    for variable in workload.env:
        yield {"name": variable.name, "value": variable.value}


def _mounts(workload: Workload) -> Iterator[dict[str, Any]]:
    yield {"name": "config", "mountPath": CONFIG_DIR, "readOnly": True}
    yield {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108  # a volume of the pod's own
    for provider, _ in _keys(workload):
        path = f"{agent_config.IN_POD.keys}/{provider}"
        yield {"name": f"key-{provider}", "mountPath": path, "readOnly": True}
    for server, _ in _passwords(workload):
        path = f"{agent_config.IN_POD.stores}/{server}"
        yield {"name": f"store-{server}", "mountPath": path, "readOnly": True}
    if workload.guard.encryption:
        yield {"name": "encryption", "mountPath": ENCRYPTION_DIR, "readOnly": True}
    if workload.guard.pii:
        path = f"{agent_config.IN_POD.keys}/{pii_config.KEY}"
        yield {"name": _PII_VOLUME, "mountPath": path, "readOnly": True}
    if workload.otlp and workload.otlp.headers_secret_ref:
        path = f"{agent_config.IN_POD.keys}/{monitoring_config.HEADERS}"
        yield {"name": _OTLP_VOLUME, "mountPath": path, "readOnly": True}
    if workload.keeps_sessions_on_disk:
        yield {"name": "data", "mountPath": DATA_DIR}
    yield from guard.mounts(workload)


def _volumes(workload: Workload, revision: str) -> Iterator[dict[str, Any]]:
    key, agent = workload.owner.key, workload.agent.name
    yield {"name": "config", "configMap": {"name": names.config_map(key, agent, revision).name}}
    yield {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}
    for provider, ref in _keys(workload):
        yield {"name": f"key-{provider}", "secret": _projected(ref, "key")}
    for server, ref in _passwords(workload):
        yield {"name": f"store-{server}", "secret": _projected(ref, "password")}
    if workload.guard.encryption:
        ref = workload.guard.encryption.keys_secret_ref
        yield {"name": "encryption", "secret": _projected(ref, "keys")}
    if workload.guard.pii:
        ref = workload.guard.pii.key_secret_ref
        yield {"name": _PII_VOLUME, "secret": _projected(ref, "key")}
    if workload.otlp and workload.otlp.headers_secret_ref:
        ref = workload.otlp.headers_secret_ref
        yield {"name": _OTLP_VOLUME, "secret": _projected(ref, monitoring_config.FILE)}
    if workload.keeps_sessions_on_disk:
        claim = names.agent_child(key, agent, Kind.PERSISTENT_VOLUME_CLAIM).name
        yield {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
    yield from guard.volumes(workload)


def _projected(ref: KeyReference, file: str) -> dict[str, Any]:
    # Optional: a missing key is the trouble of what needs it, not the pod's; no subPath, so that a
    # key made later appears.
    return {
        "secretName": ref.name,
        "optional": True,
        "items": [{"key": ref.key, "path": file}],
    }


def _keys(workload: Workload) -> Iterator[tuple[str, KeyReference]]:
    """Yield provider and Secret key of each API key that the agent uses."""
    for provider in workload.providers:
        ref = provider.endpoint.api_key_secret_ref if provider.endpoint else None
        if ref is not None:
            yield provider.name, ref


def _passwords(workload: Workload) -> Iterator[tuple[str, KeyReference]]:
    """Yield each shared server that the agent uses with a password, and its Secret key."""
    stores = workload.stores
    for name, server in (("redis", stores.redis), ("postgres", stores.postgres)):
        if server is not None and server.password_secret_ref is not None:
            yield name, server.password_secret_ref
