"""No write starts without the Lease, whatever the method."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from agentsystem_operator import ports
from agentsystem_operator.model.actions import Manifest
from agentsystem_operator.model.evaluation import Event, EventType
from agentsystem_operator.model.observed import Absent
from agentsystem_operator.model.references import Kind, Ref, SystemKey
from agentsystem_operator.shell.fence import FencedCluster
from tests.fakes.cluster import FakeCluster

KEY = SystemKey("shop", "one")
REF = Ref(Kind.SERVICE, "shop", "one")
ARGUMENTS: dict[str, Any] = {
    "ref": REF,
    "owner_uid": "u",
    "namespace": "shop",
    "name": "one",
    "key": KEY,
    "manifest": Manifest(REF, {"metadata": {}}, "i", "o"),
    "uid": "u",
    "replicas": 1,
    "version": "1",
    "status": {},
    "event": Event(EventType.NORMAL, "r", "m", "a"),
}
READS = {"read", "read_config_map", "read_cluster_keys", "identify"}


async def test_without_the_lease_only_reads_pass() -> None:
    def check() -> None:
        raise ports.NotLeading("not ours")

    cluster = FakeCluster()
    fenced = FencedCluster(cluster, check=check)
    methods = {
        name: method
        for name, method in inspect.getmembers(fenced, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert set(methods) == {
        name for name, _ in inspect.getmembers(ports.Cluster, inspect.iscoroutinefunction)
    }
    for name, method in methods.items():
        given = {part: ARGUMENTS[part] for part in inspect.signature(method).parameters}
        if name in READS:
            assert await method(**given) in (Absent(), cluster.cluster_keys)
        else:
            with pytest.raises(ports.NotLeading):
                await method(**given)
    assert cluster.writes == []


async def test_with_the_lease_every_write_is_checked_anew() -> None:
    checks: list[int] = []
    cluster = FakeCluster()
    fenced = FencedCluster(cluster, check=lambda: checks.append(1))
    for _ in range(3):
        await fenced.delete(REF, uid="u")
    assert (len(checks), len(cluster.writes)) == (3, 3)
