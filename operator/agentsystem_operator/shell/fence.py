"""Writes only while we lead: wraps a cluster and checks the Lease's deadline before each write."""

from collections.abc import Callable, Mapping
from typing import Any

from agentsystem_operator import ports
from agentsystem_operator.model import evaluation, observed
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.references import Ref, SystemKey


class FencedCluster:
    """A `ports.Cluster` whose writes raise NotLeading unless `check` passes first."""

    def __init__(self, cluster: ports.Cluster, *, check: Callable[[], None]) -> None:
        self._cluster = cluster
        self._check = check

    async def read(self, ref: Ref, *, owner_uid: str) -> observed.Looked:
        """Read; anybody may."""
        return await self._cluster.read(ref, owner_uid=owner_uid)

    async def read_config_map(
        self, namespace: str, name: str
    ) -> observed.Text | observed.Absent | observed.Unknown:
        """Read; anybody may."""
        return await self._cluster.read_config_map(namespace, name)

    async def read_cluster_keys(self) -> str | observed.Unknown:
        """Pass on."""
        return await self._cluster.read_cluster_keys()

    async def identify(self, key: SystemKey) -> ports.Identity | observed.Absent | observed.Unknown:
        """Read; anybody may."""
        return await self._cluster.identify(key)

    async def apply(self, manifest: Manifest, *, uid: str | None) -> observed.Child:
        """Write, if we lead."""
        self._check()
        return await self._cluster.apply(manifest, uid=uid)

    async def hand_over_replicas(self, ref: Ref, *, uid: str) -> observed.Child:
        """Write, if we lead."""
        self._check()
        return await self._cluster.hand_over_replicas(ref, uid=uid)

    async def set_recreate(self, ref: Ref, *, uid: str) -> observed.Child:
        """Write, if we lead."""
        self._check()
        return await self._cluster.set_recreate(ref, uid=uid)

    async def scale(self, ref: Ref, *, uid: str, replicas: int) -> str:
        """Write, if we lead."""
        self._check()
        return await self._cluster.scale(ref, uid=uid, replicas=replicas)

    async def delete(self, ref: Ref, *, uid: str) -> None:
        """Write, if we lead."""
        self._check()
        await self._cluster.delete(ref, uid=uid)

    async def write_status(self, key: SystemKey, *, version: str, status: Mapping[str, Any]) -> str:
        """Write, if we lead."""
        self._check()
        return await self._cluster.write_status(key, version=version, status=status)

    async def send_event(self, key: SystemKey, *, uid: str, event: evaluation.Event) -> None:
        """Write, if we lead."""
        self._check()
        await self._cluster.send_event(key, uid=uid, event=event)
