"""The operator's shell and core on a fake cluster, without HTTP, kopf or a leader."""

from __future__ import annotations

import functools
from typing import Any

from agentsystem_operator import engine
from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.shell.children import Children
from agentsystem_operator.shell.contents import Contents
from agentsystem_operator.shell.memory import Memory
from agentsystem_operator.shell.queue import Queue
from agentsystem_operator.shell.reconciler import Parts, Reconciler, Result
from agentsystem_operator.shell.store import Store
from tests.fakes import manifests
from tests.fakes.clock import FakeClock
from tests.fakes.cluster import FakeCluster

PASSES_MAX = 20


class Rig:
    """One operator process; several may work on one cluster, one after the other."""

    def __init__(self, cluster: FakeCluster, *, through: Any = None) -> None:
        """`through`: what stands between the operator and the cluster, if anything."""
        self.cluster = cluster
        self.queue: Queue[SystemKey] = Queue(jitter=lambda: 1.0, apart_s=0)
        self.store = Store(changed=self.queue.add, status_changed=self.queue.follow)
        clock = FakeClock()
        self.children = Children(changed=self._changed, monotonic=clock.monotonic)
        self.contents = Contents(changed=self.queue.add)
        self.memory = Memory()
        self.actions: list[str] = []
        parts = Parts(
            cluster=through or cluster,
            systems=through or cluster,
            clock=clock,
            store=self.store,
            children=self.children,
            contents=self.contents,
            memory=self.memory,
            queue=self.queue,
            evaluate=functools.partial(engine.evaluate, settings=manifests.SETTINGS),
            acted=self.actions.append,
        )
        self.reconciler = Reconciler(parts)

    def sync(self) -> None:
        """Show all children to the cache, as the reflectors do at start."""
        for child in self.cluster.children():
            self.children.put(child)

    def seen(self, body: dict[str, Any]) -> None:
        """Show an AgentSystem, as kopf does."""
        self.store.put(body)

    async def step(self, key: SystemKey) -> Result:
        """Do one pass."""
        return await self.reconciler.reconcile(key)

    async def work(self) -> list[Result]:
        """Do what is due now until nothing is; returns how the passes ended."""
        results: list[Result] = []
        while self.queue.depth:
            assert len(results) < PASSES_MAX, results
            key = await self.queue.take()
            try:
                results.append(await self.step(key))
            finally:
                self.queue.done(key)
        return results

    def _changed(self, key: SystemKey) -> None:
        if self.store.packed(key) is not None:
            self.queue.add(key)
