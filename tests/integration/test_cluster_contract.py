"""The real adapter on a real apiserver keeps the contract of `ports.Cluster`."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agentsystem_operator import ports
from agentsystem_operator.adapters import connection
from agentsystem_operator.adapters.api_client import ApiClient
from agentsystem_operator.adapters.cluster import KubernetesCluster
from agentsystem_operator.adapters.metrics import Metrics
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.observed import Absent
from agentsystem_operator.model.references import Kind, Ref, SystemKey
from agentsystem_operator.shell.clock import SystemClock
from tests import builders
from tests.contract.cluster.suite import ClusterContract
from tests.fakes import manifests
from tests.integration.crd import serve
from tests.kube import Kube

_numbers = itertools.count(1)


class RealWorld:
    """Implements `suite.World` on the test cluster, in a namespace of its own."""

    def __init__(self, kube: Kube, cluster: ports.Cluster, namespace: str) -> None:
        self._kube = kube
        self.cluster = cluster
        self.namespace = namespace

    def add_system(self, name: str) -> tuple[SystemKey, str]:
        live = self._kube.apply(builders.system(name, self.namespace))
        return SystemKey(self.namespace, name), live["metadata"]["uid"]

    def add_foreign(self, ref: Ref, body: Mapping[str, Any]) -> None:
        self._kube.apply(body, manager="somebody")

    def add_config_map(self, name: str, data: dict[str, str]) -> None:
        self._kube.apply(builders.config_map(name, self.namespace, **data))

    def tamper(self, ref: Ref, *path: str, value: Any) -> None:
        change: Any = value
        for part in reversed(path):
            change = {part: change}
        self._kube.patch(ref.kind.value, ref.name, self.namespace, change)

    def status(self, key: SystemKey) -> Mapping[str, Any]:
        status: Mapping[str, Any] = self._system(key)["status"]
        return status

    def version(self, key: SystemKey) -> str:
        version: str = self._system(key)["metadata"]["resourceVersion"]
        return version

    def _system(self, key: SystemKey) -> dict[str, Any]:
        live = self._kube.get("AgentSystem", key.name, key.namespace)
        assert live is not None
        return live

    def count_events(self, key: SystemKey) -> int:
        events = self._kube.list("Event", key.namespace)
        return len([event for event in events if event["regarding"]["name"] == key.name])


@pytest.fixture
async def world(kube: Kube, kubeconfig: str) -> AsyncIterator[RealWorld]:
    serve(kube)
    namespace = f"contract-{next(_numbers)}"
    kube.apply(builders.namespace(namespace))
    api = ApiClient(connection.from_kubeconfig(Path(kubeconfig)), metrics=Metrics())
    cluster = KubernetesCluster(api, clock=SystemClock(), instance="test")
    yield RealWorld(kube, cluster, namespace)
    await api.close()
    kube.delete("Namespace", namespace)


class TestRealCluster(ClusterContract):
    """The shared contract, and what only a real apiserver can do."""

    async def test_a_refusal_names_the_field_and_echoes_no_value(self, world: RealWorld) -> None:
        key, uid = world.add_system("refused")
        wanted = manifests.wanted(key, uid, manifests.spec())
        good = next(m for m in wanted if m.ref.kind is Kind.SERVICE)
        secret = "sk-s3cr3t: }: x"
        spec = {**good.body["spec"], "sessionAffinity": secret, "type": secret}
        bad = Manifest(good.ref, {**good.body, "spec": spec}, good.intent, good.ownership)
        with pytest.raises(ports.Refused) as refusal:
            await world.cluster.apply(bad, uid=None)
        assert "spec.sessionAffinity" in str(refusal.value)
        assert "s3cr3t" not in str(refusal.value)

    async def test_a_field_that_the_schema_does_not_know_is_not_dropped_in_silence(
        self, world: RealWorld
    ) -> None:
        key, uid = world.add_system("unknown")
        wanted = manifests.wanted(key, uid, manifests.spec())
        good = next(m for m in wanted if m.ref.kind is Kind.SERVICE)
        spec = {**good.body["spec"], "typo": True}
        bad = Manifest(good.ref, {**good.body, "spec": spec}, good.intent, good.ownership)
        with pytest.raises(ports.ClusterError):  # a 500: it cannot be put into the schema's types
            await world.cluster.apply(bad, uid=None)
        assert await world.cluster.read(good.ref, owner_uid=uid) == Absent()

    async def test_a_terminating_namespace_refuses_nothing_for_good(
        self, world: RealWorld, kube: Kube
    ) -> None:
        key, uid = world.add_system("ending")
        manifest = manifests.wanted(key, uid, manifests.spec())[0]
        hold = {"metadata": {"finalizers": ["example.com/hold"]}}
        kube.apply(builders.config_map("held", world.namespace))
        kube.patch("ConfigMap", "held", world.namespace, hold)
        kube.delete("Namespace", world.namespace)
        try:
            with pytest.raises(ports.Gone):
                await world.cluster.apply(manifest, uid=None)
        finally:
            free = {"metadata": {"finalizers": None}}
            kube.patch("ConfigMap", "held", world.namespace, free)
