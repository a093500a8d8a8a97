"""What kopf's watch lost is found by comparing a list with the store."""

from __future__ import annotations

import asyncio

from agentsystem_operator.model.references import SystemKey
from agentsystem_operator.shell.store import Store
from agentsystem_operator.shell.sweep import Sweep
from tests.fakes import manifests
from tests.fakes.cluster import FakeCluster
from tests.fakes.virtual_time import virtual

KEY = SystemKey("shop", "one")


def make() -> tuple[FakeCluster, Store, Sweep, list[SystemKey]]:
    cluster, told = FakeCluster(), list[SystemKey]()
    store = Store(changed=told.append, status_changed=told.append)
    return cluster, store, Sweep(cluster, store), told


@virtual
async def test_a_lost_deletion_is_found() -> None:
    cluster, store, sweep, told = make()
    store.put(cluster.add_system(KEY, manifests.spec()))
    cluster.remove_system(KEY)
    await sweep.once()
    assert (len(store), told) == (0, [KEY, KEY])


@virtual
async def test_a_settled_world_costs_one_list_and_wakes_nobody() -> None:
    cluster, store, sweep, told = make()
    store.put(cluster.add_system(KEY, manifests.spec()))
    told.clear()
    await sweep.once()
    assert (cluster.reads, told) == (["list systems"], [])


@virtual
async def test_a_lost_creation_edit_or_replacement_is_read() -> None:
    cluster, store, sweep, _ = make()
    edited, replaced = SystemKey("shop", "edited"), SystemKey("shop", "replaced")
    store.put(cluster.add_system(edited, manifests.spec()))
    store.put(cluster.add_system(replaced, manifests.spec(), uid="old"))
    cluster.add_system(KEY, manifests.spec())
    cluster.edit_system(edited, manifests.spec(paused=True))
    cluster.add_system(replaced, manifests.spec(), uid="new")
    await sweep.once()
    assert store.packed(KEY) is not None
    assert [store.packed(key).generation for key in (KEY, edited)] == [1, 2]  # type: ignore[union-attr]
    assert store.packed(replaced).uid == "new"  # type: ignore[union-attr]


@virtual
async def test_a_system_made_after_the_list_stays() -> None:
    cluster, store, sweep, _ = make()
    body = cluster.add_system(KEY, manifests.spec())
    body["metadata"]["resourceVersion"] = "999999"
    store.put(body)
    cluster.remove_system(KEY)
    await sweep.once()
    assert len(store) == 1


@virtual
async def test_a_namespace_that_may_not_be_listed_keeps_its_systems_and_hides_no_other() -> None:
    cluster, store, _, _ = make()
    closed, lost, new = (SystemKey(ns, "one") for ns in ("closed", "open", "open-too"))
    for key in (closed, lost):
        store.put(cluster.add_system(key, manifests.spec()))
        cluster.remove_system(key)
    cluster.add_system(new, manifests.spec())
    cluster.closed.add("closed")
    await Sweep(cluster, store, scopes=("closed", "open", "open-too")).once()
    assert set(store) == {closed, new}


@virtual
async def test_it_runs_every_ten_minutes_and_soon_after_a_restart_of_the_watch() -> None:
    cluster, _, sweep, _ = make()
    task = asyncio.create_task(sweep.run())
    await asyncio.sleep(3600)
    assert 6 <= len(cluster.reads) <= 7
    cluster.reads.clear()
    sweep.soon()
    await asyncio.sleep(5)
    assert cluster.reads == ["list systems"]
    task.cancel()


@virtual
async def test_a_cluster_that_was_restored_is_believed_though_its_versions_are_older() -> None:
    cluster, store, sweep, _ = make()
    body = cluster.add_system(KEY, manifests.spec())
    await sweep.once()
    lost = {**body, "spec": manifests.spec(paused=True)}
    lost["metadata"] = {**body["metadata"], "generation": 2, "resourceVersion": "77"}
    store.put(lost)
    gone = {**lost, "metadata": {**lost["metadata"], "name": "gone"}}
    store.put(gone)
    restored = Sweep(cluster, store)
    cluster.list_version = "100"
    await restored.once()
    cluster.list_version = "20"
    await restored.once()
    assert [store.version(key) for key in store] == [body["metadata"]["resourceVersion"]]
