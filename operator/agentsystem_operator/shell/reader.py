"""Performs the reads that the engine asks for, a few at a time, and adds the answers."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from agentsystem_operator import ports
from agentsystem_operator.model.evaluation import Reads
from agentsystem_operator.model.observed import (
    Absent,
    Child,
    Looked,
    Observed,
    Text,
    Unknown,
)
from agentsystem_operator.model.references import Ref, SystemKey
from agentsystem_operator.shell.children import Children
from agentsystem_operator.shell.contents import Contents

AT_ONCE = 8
"""Concurrent reads per system: 24 workers then ask at most for 192 at a time."""

KEYS_FRESH_S = 1800.0
"""Half as often as systems look (engine.RENEW_KEYS), so that a look is never answered with what the
one before has seen."""

K = TypeVar("K")
V = TypeVar("V")


class Reader:
    """Reads children and ConfigMaps, through the caches where these are current."""

    def __init__(
        self,
        cluster: ports.Cluster,
        children: Children,
        contents: Contents,
        *,
        clock: ports.Clock,
    ) -> None:
        self._cluster = cluster
        self._children = children
        self._contents = contents
        self._clock = clock
        self._cluster_keys: str | Unknown | None = None
        self._cluster_keys_at = float("-inf")

    async def add(self, observed: Observed, reads: Reads, *, key: SystemKey, uid: str) -> Observed:
        """Return what is observed, with the answers to what was asked for."""
        self._contents.expect(key, reads.config_maps)
        lookups = await self.look_up(reads.children, uid=uid)
        texts = await _gather(reads.config_maps, lambda name: self._text(key.namespace, name))
        _heed(texts.values())
        keys = await self._keys_of_the_cluster() if reads.cluster_keys else observed.cluster_keys
        return replace(
            observed,
            cluster_keys=keys,
            lookups={**observed.lookups, **lookups},
            config_maps={**observed.config_maps, **texts},
        )

    async def _keys_of_the_cluster(self) -> str | Unknown:
        """Return the keys, read once for all systems that ask within a while."""
        now = self._clock.monotonic()
        known = self._cluster_keys
        if known is None or now - self._cluster_keys_at >= KEYS_FRESH_S:
            known = await self._cluster.read_cluster_keys()
            _heed([known])
            if not isinstance(known, Unknown):
                self._cluster_keys, self._cluster_keys_at = known, now
        return known

    async def look_up(self, refs: Iterable[Ref], *, uid: str) -> Mapping[Ref, Looked]:
        """Return what stands under each name now; the caches learn it too."""
        found = await _gather(refs, lambda ref: self._look_up(ref, uid))
        _heed(found.values())
        return found

    async def _look_up(self, ref: Ref, uid: str) -> Looked:
        found = await self._cluster.read(ref, owner_uid=uid)
        if isinstance(found, Child):
            self._children.put(found)
        elif isinstance(found, Absent):
            self._children.forget(ref)
        return found

    async def _text(self, namespace: str, name: str) -> Text | Absent | Unknown:
        known = self._contents.get(namespace, name)
        if known is not None:
            return known
        epoch = self._contents.epoch(namespace, name)
        found = await self._cluster.read_config_map(namespace, name)
        if not isinstance(found, Unknown):
            self._contents.put(namespace, name, found, epoch=epoch)
        return found


def _heed(answers: Iterable[object]) -> None:
    """Raise ClusterUnreachable when an overloaded apiserver asked to be left alone."""
    rests = [answer.retry_after_s or 0.0 for answer in answers if isinstance(answer, Unknown)]
    if any(rests):
        raise ports.ClusterUnreachable("reads were put off", retry_after_s=max(rests))


async def _gather(
    names: Iterable[K], read: Callable[[K], Coroutine[None, None, V]]
) -> Mapping[K, V]:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(name: K) -> V:
        async with slots:
            return await read(name)

    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(one(name)) for name in names}
    return {name: task.result() for name, task in tasks.items()}
