"""Finds AgentSystems that kopf's watch lost: every 10 min, and after each of its restarts.

kopf lists anew after a gap and reports what exists, but never what was deleted meanwhile. A
metadata-only list is compared with the store; what differs is read as a whole. The only read that
the operator makes at rest (I3).
"""

import asyncio
import logging
import random
from collections.abc import Sequence

from agentsystem_operator import ports
from agentsystem_operator.model import versions
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.shell.store import Packed, Store

EVERY_S = 600.0
SETTLE_S = 3.0
"""After a restart of the watch its own list comes first; then only what it lost is left."""
RETRY_S = 5.0

logger = logging.getLogger(__name__)


class Sweep:
    """Compares the store with the cluster."""

    def __init__(
        self, systems: ports.Systems, store: Store, *, scopes: Sequence[str | None] = (None,)
    ) -> None:
        """Take the namespaces that are served; None stands for all of them."""
        self._systems = systems
        self._store = store
        self._scopes = scopes
        self._wanted = asyncio.Event()
        self._versions: dict[str | None, str] = {}
        """Of the last list of each scope."""

    def soon(self) -> None:
        """Sweep shortly, since something may have been missed."""
        self._wanted.set()

    async def run(self) -> None:
        """Sweep for ever; only cancellation ends it."""
        while True:
            await self._wait()
            try:
                await self.once()
            except ports.ClusterError as exc:
                logger.info("sweep failed; trying again", extra={"error": str(exc)})
                self._wanted.set()
                await asyncio.sleep(RETRY_S)

    async def once(self) -> None:
        """Remove what does not exist any more, and read what differs."""
        for scope in self._scopes:
            try:
                await self._once(scope)
            except ports.Refused as exc:
                # What we may not see is in doubt: its systems stay as they are known.
                extra = {"namespace": scope or "", "error": str(exc)}
                logger.info("sweep refused", extra=extra)

    async def _once(self, scope: str | None) -> None:
        version, listed = await self._systems.list_identities(scope)
        if versions.is_older(version, self._versions.get(scope, "")):
            logger.warning("the cluster was restored to an older state; reading everything again")
            self._store.distrust()
        self._versions[scope] = version
        for key in self._store:
            if scope not in (None, key.namespace):
                continue
            known = self._store.packed(key)
            if known is not None and key not in listed and not _is_later(known, version):
                logger.warning("missed a deletion", extra=_fields(key))
                self._store.remove(key, uid=known.uid)
        for key, found in listed.items():
            if _differs(self._store.packed(key), found):
                await self._read(key)

    async def _read(self, key: SystemKey) -> None:
        body = await self._systems.fetch(key)
        if body is not None:
            self._store.put(body)

    async def _wait(self) -> None:
        every = EVERY_S * random.uniform(0.9, 1.0)  # noqa: S311 -- replicas need not coincide
        try:
            async with asyncio.timeout(every):
                await self._wanted.wait()
        except TimeoutError:
            return
        await asyncio.sleep(SETTLE_S)
        self._wanted.clear()


def _is_later(known: Packed, version: str) -> bool:
    return versions.is_newer(known.resource_version, version)


def _differs(known: Packed | None, found: ports.Listed) -> bool:
    if known is None or known.uid != found.uid:
        return True
    return versions.is_older(known.resource_version, found.resource_version)


def _fields(key: SystemKey) -> dict[str, object]:
    return {"system": key.name, "namespace": key.namespace}
