"""The cluster behind `ports.Cluster`: server-side apply and a few guarded writes over HTTP.

Everything that could touch an object which is not ours carries its uid. Each method is one
request, except the hand-over of replicas when another manager came first.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from agentsystem_operator import ports
from agentsystem_operator.adapters import api_client, key_set, projections, replicas, resources
from agentsystem_operator.adapters.api_client import ApiClient
from agentsystem_operator.model import evaluation, hashing, names, observed
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.references import Kind, Ref, SystemKey

STATUS_MANAGER = "agentsystem-status"
REPORTER = "agentsystem.dev/operator"
NO_VERSION = "1"
"""A version that no object has: such an apply creates, and conflicts with whatever is there.

Without it, an object that somebody made since we looked would be merged into ours, unless one of
its fields happens to differ.
"""
NOTE_MAX = 1024
"""Bytes that events.k8s.io/v1 takes as `note`."""


class _Text(msgspec.Struct):
    data: dict[str, str] | None = None


class KubernetesCluster:
    """Implements `ports.Cluster` on a real apiserver."""

    def __init__(self, api: ApiClient, *, clock: ports.Clock, instance: str) -> None:
        self._api = api
        self._clock = clock
        self._instance = instance
        self._decoders = {kind: projections.decoder(kind) for kind in Kind}
        self._decode_text = msgspec.json.Decoder(_Text).decode
        self._decode_meta = msgspec.json.Decoder(projections.Plain).decode

    async def read(self, ref: Ref, *, owner_uid: str) -> observed.Looked:
        """Return what stands under a name."""
        found = await self._read(resources.child(ref), ref.kind.value)
        if not isinstance(found, bytes):
            return found
        child = self._decoders[ref.kind](found)
        if _is_ours(child, owner_uid):
            return child
        controller = projections.controller_of(self._decode_meta(found).metadata)
        return observed.Taken(f"{controller.kind}/{controller.name}" if controller else "")

    async def read_config_map(
        self, namespace: str, name: str
    ) -> observed.Text | observed.Absent | observed.Unknown:
        """Return the data of a user's ConfigMap."""
        path = resources.CHILDREN[Kind.CONFIG_MAP].item(namespace, name)
        found = await self._read(path, Kind.CONFIG_MAP.value)
        if not isinstance(found, bytes):
            return found
        return observed.Text(self._decode_text(found).data or {})

    async def read_cluster_keys(self) -> str | observed.Unknown:
        """Return the keys that the apiserver publishes; every service account may read them."""
        try:
            return (await key_set.read(self._api)).decode(errors="replace")
        except ports.ClusterError as exc:
            return _unknown(exc)

    async def identify(self, key: SystemKey) -> ports.Identity | observed.Absent | observed.Unknown:
        """Return which AgentSystem bears that name now."""
        path, kind = resources.system(key), names.SYSTEM_KIND
        try:
            found = await self._api.call("get", path, kind=kind, accept=api_client.METADATA)
        except ports.Gone:
            return observed.Absent()
        except ports.ClusterUnreachable as exc:
            return observed.Unknown(str(exc), retry_after_s=exc.retry_after_s)
        meta = self._decode_meta(found).metadata
        return ports.Identity(meta.uid, meta.generation, meta.deletion_timestamp is not None)

    async def apply(self, manifest: Manifest, *, uid: str | None) -> observed.Child:
        """Server-side apply; forced only on the object that we know."""
        guard = {"resourceVersion": NO_VERSION} if uid is None else {"uid": uid}
        body = {**manifest.body, "metadata": {**manifest.body["metadata"], **guard}}
        answer = await self._api.call(
            "apply",
            resources.child(manifest.ref),
            kind=manifest.ref.kind.value,
            query=_applied_by(projections.MAIN_MANAGER, force=uid is not None),
            body=body,
            content_type=api_client.APPLY,
        )
        return self._decoders[manifest.ref.kind](answer)

    async def hand_over_replicas(self, ref: Ref, *, uid: str) -> observed.Child:
        """Move `spec.replicas` to the scale manager with one patch of managedFields."""
        try:
            # The Lease's deadline was checked once: all requests together may last no longer than
            # one write.
            async with asyncio.timeout(api_client.CALL_TIMEOUT_S):
                return await self._hand_over(ref, uid)
        except TimeoutError as exc:
            raise ports.ClusterUnreachable(f"hand over {ref}: timeout") from exc

    async def _hand_over(self, ref: Ref, uid: str) -> observed.Child:
        try:
            # Applied entries come first, and right after creation ours is the only one.
            return await self._patch(ref, replicas.hand_over(uid, main=0, has_scale_entry=False))
        except (ports.Refused, ports.ConflictLost):
            return await self._hand_over_as_it_stands(ref, uid)

    async def _hand_over_as_it_stands(self, ref: Ref, uid: str) -> observed.Child:
        live = await self._api.call("get", resources.child(ref), kind=ref.kind.value)
        patch = replicas.patch_for(orjson.loads(live), uid)
        if patch is None:
            return self._decoders[ref.kind](live)
        try:
            return await self._patch(ref, patch)
        except ports.Refused as exc:
            raise ports.ConflictLost(f"{ref}: managedFields changed meanwhile") from exc

    async def _patch(
        self,
        ref: Ref,
        patch: Any,
        *,
        manager: str = projections.SCALE_MANAGER,
        content_type: str = api_client.JSON_PATCH,
    ) -> observed.Child:
        answer = await self._api.call(
            "patch",
            resources.child(ref),
            kind=ref.kind.value,
            query={"fieldManager": manager},
            body=patch,
            content_type=content_type,
        )
        return self._decoders[ref.kind](answer)

    async def set_recreate(self, ref: Ref, *, uid: str) -> observed.Child:
        """Set the strategy by a merge patch, in which null removes."""
        body = {
            "metadata": {"uid": uid},
            "spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}},
        }
        return await self._patch(
            ref, body, manager=projections.MAIN_MANAGER, content_type=api_client.MERGE_PATCH
        )

    async def scale(self, ref: Ref, *, uid: str, replicas: int) -> str:
        """Set replicas through the scale subresource; an object of another uid is left alone."""
        body = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": ref.name, "namespace": ref.namespace, "uid": uid},
            "spec": {"replicas": replicas},
        }
        answer = await self._api.call(
            "apply",
            resources.child(ref, sub="scale"),
            kind=ref.kind.value,
            query=_applied_by(projections.SCALE_MANAGER),
            body=body,
            content_type=api_client.APPLY,
        )
        return self._decode_meta(answer).metadata.resource_version

    async def delete(self, ref: Ref, *, uid: str) -> None:
        """Delete that very object; gone already is success."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._api.call("delete", resources.child(ref), kind=ref.kind.value, body=body)
        except ports.Gone:
            return

    async def write_status(self, key: SystemKey, *, version: str, status: Mapping[str, Any]) -> str:
        """Replace the status of that very version by server-side apply; returns the new one."""
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.SYSTEM_KIND,
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "resourceVersion": version,
            },
            "status": status,
        }
        answer = await self._api.call(
            "apply",
            resources.system(key, sub="status"),
            kind=names.SYSTEM_KIND,
            query=_applied_by(STATUS_MANAGER),
            body=body,
            content_type=api_client.APPLY,
        )
        return self._decode_meta(answer).metadata.resource_version

    async def send_event(self, key: SystemKey, *, uid: str, event: evaluation.Event) -> None:
        """Create one Event; its name is its content, so a repetition meets the first one."""
        body = _event(key, uid, event)
        body["eventTime"] = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        body["reportingInstance"] = self._instance
        try:
            await self._api.call(
                "create",
                resources.EVENT.collection(key.namespace),
                kind=resources.EVENT.kind,
                body=body,
            )
        except ports.ConflictLost:
            return

    async def _read(self, path: str, kind: str) -> bytes | observed.Absent | observed.Unknown:
        try:
            return await self._api.call("get", path, kind=kind)
        except ports.Gone:
            return observed.Absent()
        except ports.ClusterError as exc:
            return _unknown(exc)


def _applied_by(manager: str, *, force: bool = True) -> dict[str, str]:
    """Return the query of an apply.

    An apply refuses fields that the schema does not know in any case. To be warned of them too, as
    is the default, has the apiserver parse every body a second time, and YAML is slow to parse.
    """
    query = {"fieldManager": manager, "fieldValidation": "Ignore"}
    return {**query, "force": "true"} if force else query


def _unknown(exc: ports.ClusterError) -> observed.Unknown:
    wait = exc.retry_after_s if isinstance(exc, ports.ClusterUnreachable) else None
    return observed.Unknown(str(exc), retry_after_s=wait)


def _is_ours(child: observed.Child, owner_uid: str) -> bool:
    if child.ref.kind is Kind.PERSISTENT_VOLUME_CLAIM:
        # Claims outlive their system, so they have no owner; the name's first part is the system.
        return child.system == child.ref.name.partition("--")[0]
    return child.controller_uid == owner_uid


def _event(key: SystemKey, uid: str, event: evaluation.Event) -> dict[str, Any]:
    digest = hashing.of([uid, event.reason, event.message], size=8)
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{key.name}.{digest}", "namespace": key.namespace},
        "reportingController": REPORTER,
        "type": event.type.value,
        "reason": event.reason,
        "action": event.action,
        "note": event.message.encode()[:NOTE_MAX].decode(errors="ignore"),
        "regarding": {
            "apiVersion": names.API_VERSION,
            "kind": names.SYSTEM_KIND,
            "namespace": key.namespace,
            "name": key.name,
            "uid": uid,
        },
    }
