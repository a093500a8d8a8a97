"""The fake cluster keeps the contract, so tests on it prove something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from agentsystem_operator.model.references import Ref, SystemKey
from tests.contract.cluster.suite import ClusterContract
from tests.fakes import manifests
from tests.fakes.cluster import FakeCluster


class FakeWorld:
    """Implements `suite.World` on a fake."""

    namespace = "shop"

    def __init__(self) -> None:
        self.cluster = FakeCluster()

    def add_system(self, name: str) -> tuple[SystemKey, str]:
        key = SystemKey(self.namespace, name)
        return key, self.cluster.add_system(key, manifests.spec())["metadata"]["uid"]

    def add_foreign(self, ref: Ref, body: Mapping[str, Any]) -> None:
        self.cluster.add_foreign(ref, body)

    def add_config_map(self, name: str, data: dict[str, str]) -> None:
        self.cluster.add_config_map(self.namespace, name, data)

    def tamper(self, ref: Ref, *path: str, value: Any) -> None:
        self.cluster.tamper(ref, *path, value=value)

    def status(self, key: SystemKey) -> Mapping[str, Any]:
        return self.cluster.status(key)

    def version(self, key: SystemKey) -> str:
        version: str = self.cluster.system(key)["metadata"]["resourceVersion"]
        return version

    def count_events(self, key: SystemKey) -> int:
        return len([event for event in self.cluster.events if event[0] == key])


class TestFakeCluster(ClusterContract):
    @pytest.fixture
    def world(self) -> FakeWorld:
        return FakeWorld()
