"""One Lease object behind `ports.Leases`."""

from typing import Any

import msgspec

from agentsystem_operator import ports
from agentsystem_operator.adapters import resources
from agentsystem_operator.adapters.api_client import ApiClient

CHANNEL = "agentsystem.dev/channel"
"""Annotation: where the holder's channel is, so that the others can send pods there."""


class _Spec(msgspec.Struct, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class _Lease(msgspec.Struct):
    metadata: _Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)


class KubernetesLease:
    """Implements `ports.Leases`."""

    def __init__(self, api: ApiClient, *, namespace: str, name: str, clock: ports.Clock) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._clock = clock
        self._decode = msgspec.json.Decoder(_Lease).decode

    async def read(self) -> ports.Lease | None:
        """Return the Lease, or None when there is none."""
        path = resources.LEASE.item(self._namespace, self._name)
        try:
            return self._lease(await self._api.call("get", path, kind=resources.LEASE.kind))
        except ports.Gone:
            return None

    async def write(self, lease: ports.Lease) -> ports.Lease:
        """Create or replace the Lease, stamped with this moment."""
        meta: dict[str, Any] = {"name": self._name, "namespace": self._namespace}
        if lease.address:
            meta["annotations"] = {CHANNEL: lease.address}
        if lease.version:
            meta["resourceVersion"] = lease.version
        body = {
            "apiVersion": resources.LEASE.api_version,
            "kind": resources.LEASE.kind,
            "metadata": meta,
            "spec": {
                "holderIdentity": lease.holder,
                "leaseDurationSeconds": int(lease.duration_s),
                "renewTime": self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "leaseTransitions": lease.transitions,
            },
        }
        if lease.version:
            verb, path = "update", resources.LEASE.item(self._namespace, self._name)
        else:
            verb, path = "create", resources.LEASE.collection(self._namespace)
        return self._lease(await self._api.call(verb, path, kind=resources.LEASE.kind, body=body))

    def _lease(self, content: bytes) -> ports.Lease:
        live = self._decode(content)
        return ports.Lease(
            holder=live.spec.holder_identity or "",
            duration_s=float(live.spec.lease_duration_seconds or 0),
            renewed=live.spec.renew_time or "",
            transitions=live.spec.lease_transitions or 0,
            version=live.metadata.resource_version,
            address=(live.metadata.annotations or {}).get(CHANNEL, ""),
        )
