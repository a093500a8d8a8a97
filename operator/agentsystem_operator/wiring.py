"""Which part is connected to which: one operator process as a tree of objects.

Only `__main__` imports this. It builds and decides nothing.
"""

import asyncio
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agentsystem_operator import handlers
from agentsystem_operator.adapters import projections, resources
from agentsystem_operator.adapters.api_client import ApiClient
from agentsystem_operator.adapters.channel import authority
from agentsystem_operator.adapters.channel.authority import Authority
from agentsystem_operator.adapters.channel.secret import ChannelSecret
from agentsystem_operator.adapters.channel.station import Station
from agentsystem_operator.adapters.cluster import KubernetesCluster
from agentsystem_operator.adapters.connection import Connection
from agentsystem_operator.adapters.lease import KubernetesLease
from agentsystem_operator.adapters.metrics import Metrics
from agentsystem_operator.adapters.probes import ProbeServer
from agentsystem_operator.adapters.reflector import Reflector, Source
from agentsystem_operator.adapters.systems import KubernetesSystems
from agentsystem_operator.model import names
from agentsystem_operator.model.observed import Child
from agentsystem_operator.model.references import Kind, SystemKey
from agentsystem_operator.settings import Settings
from agentsystem_operator.shell import shards
from agentsystem_operator.shell.authority import AuthorityKeeper
from agentsystem_operator.shell.children import Children, ChildSink
from agentsystem_operator.shell.clock import SystemClock
from agentsystem_operator.shell.contents import Contents, Seen
from agentsystem_operator.shell.coverage import Cache, Coverage, Scope
from agentsystem_operator.shell.ears import Ears
from agentsystem_operator.shell.elector import Elector
from agentsystem_operator.shell.fence import FencedCluster
from agentsystem_operator.shell.heard import HeardTable
from agentsystem_operator.shell.lifecycle import Endless, Lifecycle, Plan
from agentsystem_operator.shell.memory import Memory
from agentsystem_operator.shell.outage import Outage
from agentsystem_operator.shell.queue import Queue
from agentsystem_operator.shell.reconciler import Evaluate, Parts, Reconciler
from agentsystem_operator.shell.startup import Startup
from agentsystem_operator.shell.store import Store
from agentsystem_operator.shell.sweep import Sweep
from agentsystem_operator.shell.workforce import Workforce

OURS = f"{names.MANAGED_BY}={names.OPERATOR}"
NOT_OURS = f"{names.MANAGED_BY}!={names.OPERATOR}"
USER_CONFIG_MAPS = "UserConfigMap"
"""How the watch of the users' ConfigMaps is called in metrics and logs."""
STALLED_S = 300.0
"""No pass begins or ends for longer, unpaused, while we lead and work is due: workers are stuck."""


class Operator:
    """One operator process."""

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        *,
        evaluate: Evaluate,
        stop: asyncio.Event,
        take_signals: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._stop = stop
        self._take_signals = take_signals
        self._metrics = Metrics()
        self._clock = SystemClock()
        self._api = ApiClient(connection, metrics=self._metrics)
        # A renewal must not queue behind the workers' calls for a connection.
        self._lease_api = ApiClient(connection, metrics=self._metrics)
        self._scopes: tuple[Scope, ...] = settings.namespaces or (None,)
        self._systems = KubernetesSystems(self._api)
        self._queue: Queue[SystemKey] = Queue(waited=self._metrics.waited)
        self._store = Store(changed=self._enqueue, status_changed=self._enqueue_soon)
        self._children = Children(changed=self._enqueue_soon, monotonic=self._clock.monotonic)
        self._contents = Contents(changed=self._enqueue)
        self._memory = Memory()
        self._sweep = Sweep(self._systems, self._store, scopes=self._scopes)
        self._startup = Startup(is_served=self._systems.is_served)
        self._outage = Outage(self._queue, probe=self._systems.probe)
        self._elector = self._build_elector()
        self._heard = HeardTable(clock=self._clock, changed=self._enqueue_soon)
        self._authority = self._build_authority()
        self._workforce = self._build_workforce(evaluate)
        self._reflectors = list(self._build_reflectors())
        self._coverage = self._build_coverage()

    async def run(self) -> None:
        """Run until stopped."""
        self._expose()
        probes = ProbeServer(
            self._metrics,
            alive=self._stalled,
            ready=self._unready,
            refresh=self._count_systems,
            notes=lambda: self._coverage.missing,
        )
        await probes.start(self._settings.metrics_host, self._settings.metrics_port)
        plan = Plan(
            startup=self._startup,
            caches=self._coverage,
            elector=self._elector,
            workforce=self._workforce,
            fill={
                "systems": self._watch_systems,
                "sweep": self._sweep.run,
                "coverage": self._coverage.follow,
                **{
                    f"watch {kind} {reflector.source.namespace or ''}": reflector.run
                    for kind, reflector in self._reflectors
                },
            },
            ends=frozenset({"systems"}),
            lead={
                "elector": self._elector.run,
                "outage": self._outage.run,
                "workforce": self._work,
                **self._channel(),
            },
            close=(probes.stop, self._api.close, self._lease_api.close),
        )
        await Lifecycle(plan, stop=self._stop).run()

    def _enqueue(self, key: SystemKey) -> None:
        if self._is_ours(key):
            self._queue.add(key)

    def _enqueue_soon(self, key: SystemKey) -> None:
        if self._store.packed(key) is not None and self._is_ours(key):
            self._queue.soon(key)

    def _is_ours(self, key: SystemKey) -> bool:
        # A standby would collect every name that ever was; who begins to lead looks at everything.
        ours = self._elector.leading.is_set() and shards.owner(key) == shards.SHARD
        return ours and self._coverage.serves(key.namespace)

    async def _work(self) -> None:
        await self._workforce.run(self._elector, began=self._begin)

    def _begin(self) -> None:
        self._heard.begin()
        self._enqueue_all()

    def _channel(self) -> Mapping[str, Endless]:
        """Return the parts of the channel, which every replica runs; none without one."""
        if self._settings.channel is None:
            return {}
        station = Station(
            self._api,
            self._settings.channel,
            context=lambda: self._authority.context,
            child=self._children.get,
            role=self._elector,
            table=self._heard,
            metrics=self._metrics,
            clock=self._clock,
        )
        return {
            "authority": self._authority.run,
            "channel": station.run,
            "heard": self._heard.run,
        }

    def _build_authority(self) -> AuthorityKeeper[Authority]:
        host = self._settings.channel_service.rpartition(":")[0]
        return AuthorityKeeper(
            ChannelSecret(self._api, namespace=self._settings.namespace),
            authority,
            self._elector,
            clock=self._clock,
            names=(host,),
            changed=self._enqueue_all,
        )

    def _enqueue_all(self) -> None:
        self._enqueue_scope(None)

    def _enqueue_scope(self, scope: Scope) -> None:
        for key in {*self._store, *self._memory}:
            if scope in (None, key.namespace) and self._is_ours(key):
                self._queue.follow(key)

    async def _watch_systems(self) -> None:
        watch = handlers.SystemsWatch(
            self._connection,
            self._store,
            namespaces=self._settings.namespaces,
            missed=self._sweep.soon,
        )
        await watch.run(self._stop, take_signals_back=self._take_signals)

    def _build_elector(self) -> Elector:
        lease = KubernetesLease(
            self._lease_api,
            namespace=self._settings.namespace,
            name=shards.lease_name(shards.SHARD),
            clock=self._clock,
        )
        return Elector(
            lease,
            identity=self._settings.identity,
            monotonic=self._clock.monotonic,
            address=self._settings.channel_address,
        )

    def _build_workforce(self, evaluate: Evaluate) -> Workforce:
        cluster = KubernetesCluster(self._api, clock=self._clock, instance=self._settings.instance)
        parts = Parts(
            cluster=FencedCluster(cluster, check=self._elector.check),
            systems=self._systems,
            clock=self._clock,
            store=self._store,
            children=self._children,
            contents=self._contents,
            memory=self._memory,
            queue=self._queue,
            evaluate=evaluate,
            acted=self._metrics.acted,
            ears=self._ears(),
        )
        return Workforce(self._queue, Reconciler(parts), self._outage, passed=self._metrics.passed)

    def _ears(self) -> Ears | None:
        if self._settings.channel is None:
            return None
        return Ears(of=self._heard.of, bundle=lambda: self._authority.bundle)

    def _build_reflectors(self) -> Iterator[tuple[str, "Reflector[Any, Any]"]]:
        for namespace in self._scopes:
            for kind in Kind:
                yield kind.value, self._reflect_children(kind, namespace)
            yield USER_CONFIG_MAPS, self._reflect_config_maps(namespace)

    def _build_coverage(self) -> Coverage:
        scopes: dict[Scope, dict[str, Cache]] = {scope: {} for scope in self._scopes}
        for kind, reflector in self._reflectors:
            scopes[reflector.source.namespace][kind] = reflector
        return Coverage(scopes, served=self._enqueue_scope)

    def _reflect_children(
        self, kind: Kind, namespace: str | None
    ) -> "Reflector[projections.Plain, Child]":
        source: Source[projections.Plain, Child] = Source(
            kind=kind.value,
            path=resources.CHILDREN[kind].collection(namespace),
            namespace=namespace,
            shape=projections.SHAPES[kind],
            project=lambda live: projections.child(kind, live),
            selector=OURS,
        )
        return Reflector(self._api, source, ChildSink(self._children, kind))

    def _reflect_config_maps(self, namespace: str | None) -> "Reflector[projections.Plain, Seen]":
        source: Source[projections.Plain, Seen] = Source(
            kind=USER_CONFIG_MAPS,
            path=resources.CHILDREN[Kind.CONFIG_MAP].collection(namespace),
            namespace=namespace,
            shape=projections.Plain,
            project=_seen,
            selector=NOT_OURS,
            metadata_only=True,
        )
        return Reflector(self._api, source, self._contents)

    def _expose(self) -> None:
        self._metrics.queue_depth(lambda: self._queue.depth)
        self._metrics.queue_paused(lambda: self._queue.paused)
        self._metrics.leader(lambda: self._elector.may_write)
        self._metrics.channel_pods(lambda: len(self._heard))
        for kind in dict.fromkeys(kind for kind, _ in self._reflectors):
            self._metrics.watch_age(kind, functools.partial(self._age, kind))

    def _count_systems(self) -> None:
        # Who leads no more knows only how things were.
        self._metrics.systems(self._memory.counts if self._elector.may_write else {})
        self._metrics.load(self._heard.measures())

    def _age(self, kind: str) -> float:
        return max(reflector.age_s for name, reflector in self._reflectors if name == kind)

    def _stalled(self) -> list[str]:
        waiting = self._elector.may_write and not self._queue.paused
        return ["queue stalled"] if waiting and self._queue.stalled_s > STALLED_S else []

    def _unready(self) -> list[str]:
        if self._startup.missing:
            return [self._startup.missing]
        return list(self._coverage.unready)


def _seen(live: projections.Plain) -> Seen:
    meta = live.metadata
    return Seen(meta.namespace, meta.name, meta.resource_version)
