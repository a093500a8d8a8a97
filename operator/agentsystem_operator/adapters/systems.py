"""AgentSystems read beside kopf's watch: a metadata-only list, single objects, and the CRD."""

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from agentsystem_operator import ports
from agentsystem_operator.adapters import api_client, projections, resources
from agentsystem_operator.adapters.api_client import ApiClient
from agentsystem_operator.model.references import SystemKey

PAGE = 500
PAGES_MAX = 200
"""A bound of 100,000 systems; far beyond what one operator is for."""


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct):
    metadata: _ListMeta
    items: list[projections.Plain]


class _Resource(msgspec.Struct):
    name: str


class _Resources(msgspec.Struct):
    resources: list[_Resource]


class KubernetesSystems:
    """Implements `ports.Systems`."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._decode = msgspec.json.Decoder(_Page).decode
        self._decode_resources = msgspec.json.Decoder(_Resources).decode

    async def list_identities(
        self, scope: str | None
    ) -> tuple[str, Mapping[SystemKey, ports.Listed]]:
        """Return the list's version and every AgentSystem of a namespace, or of the cluster."""
        found: dict[SystemKey, ports.Listed] = {}
        query = {"limit": str(PAGE)}
        for _ in range(PAGES_MAX):
            content = await self._api.call(
                "list",
                resources.AGENT_SYSTEM.collection(scope),
                kind=resources.AGENT_SYSTEM.kind,
                query=query,
                accept=api_client.METADATA_LIST,
            )
            page = self._decode(content)
            for item in page.items:
                meta = item.metadata
                key = SystemKey(meta.namespace, meta.name)
                found[key] = ports.Listed(meta.uid, meta.resource_version)
            if not page.metadata.continue_:
                return page.metadata.resource_version, found
            query["continue"] = page.metadata.continue_
        raise ports.ClusterUnreachable("more AgentSystems than can be listed")

    async def fetch(self, key: SystemKey) -> Mapping[str, Any] | None:
        """Return one AgentSystem as a whole, or None when there is none."""
        kind = resources.AGENT_SYSTEM.kind
        try:
            content = await self._api.call("get", resources.system(key), kind=kind)
        except ports.Gone:
            return None
        body: Mapping[str, Any] = orjson.loads(content)
        return body

    async def is_served(self) -> bool:
        """Say whether the apiserver knows AgentSystems, that is whether the CRD is installed."""
        resource = resources.AGENT_SYSTEM
        path = f"/apis/{resource.group}/{resource.version}"
        try:
            content = await self._api.call("get", path, kind="APIResourceList")
        except ports.Gone:
            return False
        served = self._decode_resources(content).resources
        return any(found.name == resource.plural for found in served)

    async def probe(self) -> None:
        """Return when the apiserver says it is ready; raises otherwise."""
        await self._api.call("get", "/readyz", kind="Probe")
