"""A small client of the cluster's apiserver for the supervisor, with the standard library only."""

import http.client
import json
import ssl
import time
from collections.abc import Callable
from datetime import datetime

from devcluster import control_plane, layout
from devcluster.errors import DevClusterError

CALL_LIMIT_S = 10.0
POLL_S = 0.1
DNS_READY_PORT = 8181  # as the Corefile says
MANAGER = "devcluster"

# kind -> plural, for the kinds that objects.py writes
_PLURALS = {
    "APIService": "apiservices",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "EndpointSlice": "endpointslices",
    "Node": "nodes",
    "RoleBinding": "rolebindings",
    "Service": "services",
    "StorageClass": "storageclasses",
}


class Unanswered(DevClusterError):
    """The apiserver could not be reached or refused; the message has its words."""


def path_of(manifest: dict[str, object]) -> str:
    """Return the URL path of a manifest's object."""
    version = str(manifest["apiVersion"])
    metadata = manifest["metadata"]
    if not isinstance(metadata, dict):
        raise DevClusterError(f"manifest without metadata: {manifest}")
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    within = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{within}/{_PLURALS[str(manifest['kind'])]}/{metadata['name']}"


def apply(manifest: dict[str, object], part: str = "") -> None:
    """Server-side apply one manifest, or a part of it such as "/status"."""
    path = f"{path_of(manifest)}{part}?fieldManager={MANAGER}&force=true"
    status, text = call("PATCH", path, manifest)
    if status >= 300:
        raise Unanswered(f"{path}: {status}: {text[:300]}")


def get(path: str) -> dict[str, object]:
    """Return an object, or raise with the refusal."""
    status, text = call("GET", path)
    if status >= 300:
        raise Unanswered(f"{path}: {status}: {text[:300]}")
    value = json.loads(text)
    return value if isinstance(value, dict) else {}


def call(method: str, path: str, body: dict[str, object] | None = None) -> tuple[int, str]:
    """Return status and text of one request made as the supervisor's own user."""
    keys = control_plane.KEYS
    try:
        context = ssl.create_default_context(cafile=str(keys / "ca.crt"))
        context.load_cert_chain(str(keys / "supervisor.crt"), str(keys / "supervisor.key"))
        connection = http.client.HTTPSConnection(
            "127.0.0.1", layout.APISERVER_PORT, timeout=CALL_LIMIT_S, context=context
        )
        try:
            connection.request(
                method,
                path,
                body=None if body is None else json.dumps(body),
                # JSON is YAML, and this type makes a PATCH a server-side apply; servers refuse
                # to answer a GET in it
                headers={} if body is None else {"Content-Type": "application/apply-patch+yaml"},
            )
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as exc:
        raise Unanswered(f"apiserver: {exc}") from exc


def wait(what: str, done: Callable[[], bool], limit_s: float) -> None:
    """Poll until `done`, counting an unanswered request as not yet."""
    end = time.monotonic() + limit_s
    why = ""
    while True:
        try:
            if done():
                return
        except Unanswered as exc:
            why = f": {exc}"
        if time.monotonic() > end:
            raise DevClusterError(f"{what}: not after {limit_s:.0f} s{why}")
        time.sleep(POLL_S)


def ready() -> bool:
    """Whether the apiserver says that it is ready."""
    return serves("/readyz")


def node_ready(name: str, since: datetime) -> bool:
    """Whether a kubelet has said after `since` that its node is Ready.

    A resumed cluster's store still holds what the node said before it was stopped.
    """
    status = get(f"/api/v1/nodes/{name}").get("status")
    conditions = status.get("conditions", []) if isinstance(status, dict) else []
    return any(
        condition["type"] == "Ready"
        and condition["status"] == "True"
        and datetime.fromisoformat(condition["lastHeartbeatTime"]) >= since
        for condition in conditions
    )


def serves(path: str) -> bool:
    """Whether a path is answered with success, by the apiserver or an aggregated one."""
    return call("GET", path)[0] == 200


def dns_ready() -> bool:
    """Whether the cluster's DNS server has its caches filled."""
    connection = http.client.HTTPConnection(layout.GATEWAY, DNS_READY_PORT, timeout=CALL_LIMIT_S)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
